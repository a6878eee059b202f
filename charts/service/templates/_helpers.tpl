{{- define "service.name" -}}
{{- .Values.name | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "service.selector" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What Pillion is told, from the chart's values; `pillion` wins. */}}
{{- define "service.settings" -}}
{{- $service := dict "name" (include "service.name" .) "port" .Values.port "health_path" .Values.healthPath -}}
{{- if .Values.routes }}{{- $_ := set $service "routes" .Values.routes }}{{- end -}}
{{- $settings := dict "service" $service "state" (dict "dir" "/var/lib/pillion") "admin" (dict "metrics" "0.0.0.0:15090") -}}
{{- $registry := dict -}}
{{- if .Values.consul.address }}{{- $_ := set $registry "address" .Values.consul.address }}{{- end -}}
{{- if .Values.consul.tokenSecret }}{{- $_ := set $registry "token_file" "/etc/pillion/consul/token" }}{{- end -}}
{{- if $registry }}{{- $_ := set $settings "registry" $registry }}{{- end -}}
{{- if .Values.versions }}{{- $_ := set $settings "versions" (dict "serves" .Values.versions) }}{{- end -}}
{{- if .Values.tracing.endpoint }}{{- $_ := set $settings "tracing" (dict "endpoint" .Values.tracing.endpoint "sample" .Values.tracing.sample) }}{{- end -}}
{{- if .Values.outbox.databaseSecret }}
{{- $broker := dict "url_file" "/etc/pillion/broker/url" -}}
{{- $_ := set $settings "outbox" (dict "database_file" "/etc/pillion/database/url" "broker" $broker "changes" .Values.outbox.changes) }}
{{- end -}}
{{- mergeOverwrite $settings (deepCopy .Values.pillion) | toYaml -}}
{{- end }}
