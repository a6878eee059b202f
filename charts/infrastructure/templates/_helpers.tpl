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
      {{- /* Those of the release itself in any case: its Jobs make tokens, backups and restores. */}}
      {{- $own := dict "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/instance" .root.Release.Name)) }}
      {{- $from := .root.Values.networkPolicy.from | default (list (dict "namespaceSelector" dict)) }}
      from: {{- append $from $own | toYaml | nindent 8 }}
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

{{/*
A Job that looks whether the volume of backups can be written. With most storage classes a claim waits for its first pod, and `helm install --wait`
for the claim; the first backup may be hours away. Its name changes with what it is, as a Job can't be changed. Wants {root, part, image, user, group}.
*/}}
{{- define "infrastructure.volume" -}}
{{- $labels := include "infrastructure.labels" (dict "root" .root "part" .part) -}}
{{- $spec := include "infrastructure.volumePod" . -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "infrastructure.name" .root }}-{{ .part }}s-{{ sha256sum $spec | trunc 8 }}
  labels: {{- $labels | nindent 4 }}
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 600
  template:
    metadata:
      labels: {{- include "infrastructure.podLabels" (dict "root" .root "part" .part) | nindent 8 }}
    spec:
      {{- $spec | nindent 6 }}
{{- end }}

{{- define "infrastructure.volumePod" -}}
restartPolicy: Never
automountServiceAccountToken: false
{{ include "common.scheduling" (dict "root" .root "values" dict) }}
{{ include "common.user" (dict "user" .user "group" .group) }}
containers:
  - name: volume
    {{- include "common.pull" (dict "image" .image "root" .root "tag" "") | nindent 4 }}
    command: [sh, -c, 'test -w /backups || { echo "user {{ .user }} may not write to the volume of backups" >&2; exit 1; }']
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 64Mi}
    {{- include "common.confined" . | nindent 4 }}
    volumeMounts:
      - {name: backups, mountPath: /backups}
volumes:
  - name: backups
    persistentVolumeClaim: {claimName: {{ include "infrastructure.name" .root }}-{{ .part }}s}
{{- end }}
