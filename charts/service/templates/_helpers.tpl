{{- define "service.name" -}}
{{- .Values.name | default .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "service.selector" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of the chart's Jobs and tests: no pods of the service, and out of the mesh. Wants {root, part}. */}}
{{- define "service.jobLabels" -}}
app.kubernetes.io/name: {{ include "service.name" .root }}-{{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "service.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "service.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* The annotations that Pillion reads, as YAML. */}}
{{- define "service.annotations" -}}
{{- $pillion := .Values.pillion -}}
{{- $said := dict "pillion.dev/service" ($pillion.service | default (include "service.name" .)) "pillion.dev/port" (.Values.port | toString) -}}
{{- with .Values.healthPath }}{{- $_ := set $said "pillion.dev/health-path" . }}{{- end -}}
{{- range $key := list "versions" "routes" "tags" -}}
{{- with get $pillion $key }}{{- $_ := set $said (printf "pillion.dev/%s" $key) (join "," .) }}{{- end -}}
{{- end -}}
{{- range $key, $value := $pillion.meta }}{{- $_ := set $said (printf "pillion.dev/meta-%s" $key) $value }}{{- end -}}
{{- with $pillion.upstreams -}}
{{- $_ := set $said "pillion.dev/upstreams" (kindIs "slice" . | ternary (join "," .) (toRawJson .)) -}}
{{- end -}}
{{- with $pillion.pythonpath }}{{- $_ := set $said "pillion.dev/pythonpath" . }}{{- end -}}
{{- with $pillion.logLevel }}{{- $_ := set $said "pillion.dev/log-level" . }}{{- end -}}
{{- with $pillion.image }}{{- $_ := set $said "pillion.dev/image" . }}{{- end -}}
{{- range $which := list "request" "limit" -}}
{{- range $kind, $quantity := get $pillion.resources (printf "%ss" $which) | default dict -}}
{{- $_ := set $said (printf "pillion.dev/%s-%s" $kind $which) ($quantity | toString) -}}
{{- end -}}
{{- end -}}
{{- with $pillion.outbox.databaseSecret -}}
{{- $_ := set $said "pillion.dev/outbox-database-secret" . -}}
{{- $_ := set $said "pillion.dev/outbox-config" (toRawJson $pillion.outbox.config) -}}
{{- end -}}
{{- if $pillion.config -}}
{{- $_ := set $said "pillion.dev/config" (printf "%s-pillion" (include "service.name" .)) -}}
{{- /* The sidecar reads its file once: a change makes new pods. */ -}}
{{- $_ := set $said "pillion.dev/settings" (toYaml $pillion.config | sha256sum) -}}
{{- end -}}
{{- toYaml $said -}}
{{- end }}

{{/* Environment of the service's container and of its migration; what the user gives stands alone. */}}
{{- define "service.environment" -}}
{{- $given := list -}}
{{- range .Values.env }}{{- $given = append $given .name }}{{- end -}}
{{- $env := list -}}
{{- if not (has "PORT" $given) }}{{- $env = append $env (dict "name" "PORT" "value" (.Values.port | toString)) }}{{- end -}}
{{- /* The only folder that can be written: gunicorn keeps a socket below it. */ -}}
{{- if not (has "HOME" $given) }}{{- $env = append $env (dict "name" "HOME" "value" "/tmp") }}{{- end -}}
env: {{- concat $env .Values.env | toYaml | nindent 2 }}
{{- end }}

{{/* Sources of environment. Wants {root, own}: the name of the chart's ConfigMap and Secret, which hooks have as earlier hooks. */}}
{{- define "service.environmentFrom" -}}
{{- $values := .root.Values -}}
{{- $from := list -}}
{{- if $values.config }}{{- $from = append $from (dict "configMapRef" (dict "name" .own)) }}{{- end -}}
{{- if $values.secret.data }}{{- $from = append $from (dict "secretRef" (dict "name" .own)) }}{{- end -}}
{{- if $values.secret.generate -}}
{{- $from = append $from (dict "secretRef" (dict "name" (printf "%s-generated" (include "service.name" .root)))) -}}
{{- end -}}
{{- with $values.secret.existingSecret }}{{- $from = append $from (dict "secretRef" (dict "name" .)) }}{{- end -}}
{{- with concat $from $values.envFrom -}}
envFrom: {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{/* A probe: the user's, else one of the health path, else of the port. Wants {given, path, more}. */}}
{{- define "service.probe" -}}
{{- if .given -}}
{{ toYaml .given }}
{{- else -}}
{{- if .path -}}
httpGet: {path: {{ .path | quote }}, port: http}
{{- else -}}
tcpSocket: {port: http}
{{- end }}
{{ toYaml .more }}
{{- end -}}
{{- end }}

{{/* What can't be, said in the values' own words. */}}
{{- define "service.checks" -}}
{{- if not .Values.image.repository }}
{{- fail "image.repository is empty: name the image of your service, as in --set image.repository=registry.example.com/orders" }}
{{- end }}
{{- with .Values.persistence }}
{{- if and .enabled (ne .accessMode "ReadWriteMany") (or $.Values.autoscaling.enabled (gt (int $.Values.replicas) 1)) }}
{{- fail (printf "persistence.accessMode %s allows one pod: set replicas to 1 and autoscaling.enabled to false, or use ReadWriteMany" .accessMode) }}
{{- end }}
{{- end }}
{{- if and .Values.migration.enabled (not .Values.migration.command) }}
{{- fail "migration.enabled is true but migration.command is empty" }}
{{- end }}
{{- with .Values.pillion.outbox }}
{{- if and .config (not .databaseSecret) }}
{{- fail "pillion.outbox.config is set but pillion.outbox.databaseSecret is not: the relay needs the database's address" }}
{{- end }}
{{- if and .databaseSecret (not .config) }}
{{- fail "pillion.outbox.databaseSecret is set but pillion.outbox.config is empty: say which tables' changes become events" }}
{{- end }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" }}
{{- end }}
{{- end }}

{{/* A pod that works on the outbox as the role that prepares it. Wants {root, settings, initial, args}: the ConfigMap, what is run before, and what is run. */}}
{{- define "service.outboxPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
{{ include "common.scheduling" (dict "root" .root "values" dict) }}
{{ include "common.user" (dict "user" 65532 "group" 65532) }}
{{- with .initial }}
initContainers:
  {{- include "service.outboxContainer" (dict "root" $.root "name" "init" "args" .) | nindent 2 }}
{{- end }}
containers:
  {{- include "service.outboxContainer" (dict "root" .root "name" "outbox" "args" .args) | nindent 2 }}
volumes:
  - name: config
    configMap: {name: {{ .settings }}}
  - name: database
    secret: {secretName: {{ .root.Values.pillion.outbox.installSecret }}, defaultMode: 0440, items: [{key: url, path: url}]}
  - name: state
    emptyDir: {}
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "service.outboxContainer" -}}
- name: {{ .name }}
  {{- include "common.pull" (dict "image" .root.Values.toolsImage "root" .root "tag" .root.Chart.AppVersion) | nindent 2 }}
  args: {{- toYaml .args | nindent 4 }}
  env:
    - {name: PILLION_CONFIG, value: /etc/pillion/pillion.yaml}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 256Mi}
  {{- include "common.confined" . | nindent 2 }}
  volumeMounts:
    - {name: config, mountPath: /etc/pillion, readOnly: true}
    - {name: database, mountPath: /run/secrets/pillion, readOnly: true}
    - {name: state, mountPath: /var/lib/pillion}
    - {name: tmp, mountPath: /tmp}
{{- end }}
