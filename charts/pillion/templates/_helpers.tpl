{{/* Beginning of all names. */}}
{{- define "pillion.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that select pods. Wants {root, part}. */}}
{{- define "pillion.selector" -}}
app.kubernetes.io/name: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: pillion
{{- end }}

{{- define "pillion.labels" -}}
{{ include "pillion.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a pod: never injected. The release's namespace is left out by the webhook's selectors too. */}}
{{- define "pillion.podLabels" -}}
{{ include "pillion.selector" . }}
app.kubernetes.io/component: serving
pillion.dev/inject: "false"
{{- end }}

{{- define "pillion.image" -}}
{{ include "common.pull" (dict "image" .Values.image "root" . "tag" .Chart.AppVersion) }}
{{- end }}

{{/* The Secret with the webhook's certificate, for those that the injector does not make itself. */}}
{{- define "pillion.certificateSecret" -}}
{{- $certificate := .Values.injector.certificate -}}
{{- if eq $certificate.source "cert-manager" -}}
{{ include "pillion.name" . }}-injector-tls
{{- else if $certificate.existingSecret -}}
{{ $certificate.existingSecret }}
{{- else -}}
{{- fail "injector.certificate.source is `secret` but injector.certificate.existingSecret names none" -}}
{{- end -}}
{{- end }}

{{/* The injector's pillion.yaml. */}}
{{- define "pillion.injectorSettings" -}}
{{- $name := include "pillion.name" . -}}
{{- $injector := .Values.injector -}}
{{- $image := $injector.sidecar.image | default (include "common.image" (dict "image" .Values.image "root" . "tag" .Chart.AppVersion)) -}}
{{- $version := printf "%s.%s" .Capabilities.KubeVersion.Major (.Capabilities.KubeVersion.Minor | trimSuffix "+") -}}
{{- $resources := dict -}}
{{- range $which := list "request" "limit" -}}
{{- $given := get $injector.sidecar.resources (printf "%ss" $which) | default dict -}}
{{- range list "cpu" "memory" -}}
{{- $_ := set $resources (printf "%s_%s" . $which) (get $given . | toString) -}}
{{- end -}}
{{- end -}}
{{- $sidecar := dict "image" $image "image_pull_policy" .Values.image.pullPolicy "revision" .Values.revision
    "cluster_version" ($injector.clusterVersion | default $version) "consul_address" .Values.consul.address
    "consul_token_secret" .Values.consul.sidecarTokenSecret "consul_login_method" .Values.consul.sidecarLoginMethod "registry_mode" .Values.consul.mode
    "tracing_endpoint" .Values.tracing.endpoint "tracing_sample" .Values.tracing.sample
    "pre_stop_sleep" $injector.sidecar.preStopSleep "resources" $resources -}}
{{- if and .Values.consul.sidecarTokenSecret .Values.consul.sidecarLoginMethod -}}
{{- fail "consul.sidecarTokenSecret and consul.sidecarLoginMethod are both given: sidecars have one token" -}}
{{- end -}}
{{- $webhook := dict "listen" "0.0.0.0:15443" "lease" (printf "%s-injector" $name) "namespace" .Release.Namespace -}}
{{- if eq $injector.certificate.source "made" -}}
{{- $_ := merge $webhook (dict "certificate" "made" "configuration" (printf "%s-injector" $name) "secret" (printf "%s-injector-ca" $name)) -}}
{{- else -}}
{{- $_ := merge $webhook (dict "certificate" "files" "cert_file" "/run/secrets/pillion/tls/tls.crt" "key_file" "/run/secrets/pillion/tls/tls.key") -}}
{{- end -}}
{{- $settings := dict "injector" $sidecar "webhook" $webhook "log" (dict "level" $injector.logLevel)
    "admin" (dict "health" "0.0.0.0:15021" "metrics" "0.0.0.0:15090") -}}
{{- if and (eq .Values.consul.mode "catalog") .Values.consul.injectorTokenSecret -}}
{{- $_ := set $settings "registry" (dict "token_file" "/run/secrets/pillion/consul/token") -}}
{{- end -}}
{{- if .Values.clusterName -}}
{{- $_ := set $settings "kubernetes" (dict "cluster" .Values.clusterName) -}}
{{- end -}}
{{- $settings = mergeOverwrite $settings (deepCopy $injector.config) -}}
{{- /* Two clusters that are called the same take each other's instances for what their own dead pods left. */ -}}
{{- if and (eq .Values.consul.mode "catalog") (not ($settings.kubernetes).cluster) -}}
{{- fail "clusterName is empty: with `consul.mode: catalog` each cluster in one Consul needs a name that no other has, such as what `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints" -}}
{{- end -}}
{{- $settings | toYaml -}}
{{- end }}

{{/* The gateway's pillion.yaml. */}}
{{- define "pillion.gatewaySettings" -}}
{{- $settings := dict "admin" (dict "health" "0.0.0.0:15021" "metrics" "0.0.0.0:15090") "log" (dict "level" .Values.gateway.logLevel)
    "gateway" (dict "listen" "0.0.0.0:10000") "state" (dict "dir" "/var/lib/pillion") -}}
{{- if .Values.tracing.endpoint -}}
{{- $_ := set $settings "tracing" (dict "endpoint" .Values.tracing.endpoint "sample" .Values.tracing.sample) -}}
{{- end -}}
{{- if .Values.consul.gatewayTokenSecret -}}
{{- $_ := set $settings "registry" (dict "token_file" "/run/secrets/pillion/consul/token") -}}
{{- end -}}
{{- if .Values.gateway.tlsSecret -}}
{{- $folder := "/run/secrets/pillion/tls" -}}
{{- $_ := set $settings.gateway "tls" (dict "certificate" (printf "%s/tls.crt" $folder) "key" (printf "%s/tls.key" $folder)) -}}
{{- end -}}
{{- mergeOverwrite $settings (deepCopy .Values.gateway.config) | toYaml -}}
{{- end }}

{{/* Where Consul is, by the node's address. */}}
{{- define "pillion.consulEnvironment" -}}
- name: HOST_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- {name: CONSUL_HTTP_ADDR, value: {{ .Values.consul.address | quote }}}
{{- end }}
