{{/* Beginning of all names. Short, because a CronJob's name may have 52 letters. */}}
{{- define "infrastructure.name" -}}
{{- .Release.Name | trunc 32 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that select pods. Wants {root, part}, the part as in consul-server. */}}
{{- define "infrastructure.selector" -}}
app.kubernetes.io/name: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "infrastructure.labels" -}}
{{ include "infrastructure.selector" . }}
app.kubernetes.io/part-of: infrastructure
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a pod: never injected, whatever its namespace says. */}}
{{- define "infrastructure.podLabels" -}}
{{ include "infrastructure.selector" . }}
pillion.dev/inject: "false"
{{- end }}

{{/* A host as pods of any namespace reach it. Wants {root, host}. */}}
{{- define "infrastructure.host" -}}
{{ include "infrastructure.name" .root }}-{{ .host }}.{{ .root.Release.Namespace }}.svc
{{- end }}

{{/* A claim's spec. Wants {storage}. */}}
{{- define "infrastructure.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storage.className }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests: {storage: {{ .storage.size }}}
{{- end }}

{{/*
Who may reach a component's ports, where that is limited. Wants {root, part, ports}; `own` lists ports between pods of Consul. With
`anyone` true the ports are everybody's: what comes by a port of the node may come with the node's address.
*/}}
{{- define "infrastructure.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "infrastructure.name" .root }}-{{ .part }}
  labels: {{- include "infrastructure.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "infrastructure.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        {{- range .ports }}
        - {{ kindIs "map" . | ternary . (dict "port" .) | toJson }}
        {{- end }}
      {{- if not .anyone }}
      from: {{- .root.Values.networkPolicy.from | default (list (dict "namespaceSelector" dict)) | toYaml | nindent 8 }}
      {{- end }}
    {{- with .own }}
    - ports: {{- toYaml . | nindent 8 }}
      from:
        - podSelector:
            matchExpressions:
              - {key: app.kubernetes.io/name, operator: In, values: [consul-server, consul-client]}
              - {key: app.kubernetes.io/instance, operator: In, values: [{{ $.root.Release.Name }}]}
    {{- end }}
{{- end }}

{{/* The volume of a Consul agent's secret settings; an empty folder where it has none. Wants {root, file}. */}}
{{- define "infrastructure.consulSecret" -}}
{{- $consul := .root.Values.consul -}}
{{- if or $consul.existingSecret $consul.gossipEncryption $consul.acl.enabled -}}
secret:
  secretName: {{ $consul.existingSecret | default (printf "%s-consul" (include "infrastructure.name" .root)) }}
  defaultMode: 0440
  # Not the other tokens.
  items: [{key: {{ .file }}, path: secrets.json}]
{{- else -}}
emptyDir: {}
{{- end }}
{{- end }}
