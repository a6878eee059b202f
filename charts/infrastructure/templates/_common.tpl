{{/* Shared by the charts: the original is that of the chart infrastructure, `make docs` copies it into the others. */}}

{{/* An image by digest where there is one, else by tag. Wants {image, root, tag}: `tag` is taken where the image names none. */}}
{{- define "common.image" -}}
{{- $image := .image -}}
{{- $registry := (.root.Values.global).imageRegistry | default "" -}}
{{- $repository := $image.repository -}}
{{- if $registry }}{{- $repository = printf "%s/%s" $registry $repository }}{{- end -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default .tag }}
{{- end -}}
{{- end }}

{{/* Image and pull policy of a container. */}}
{{- define "common.pull" -}}
image: {{ include "common.image" . | quote }}
imagePullPolicy: {{ .image.pullPolicy | default "IfNotPresent" }}
{{- end }}

{{/*
How many pods a Deployment has. Where an autoscaler decides that: as many as run now. Left out, the upgrade that switches it on would take
the field away, and that is 1 until the autoscaler looks. Without a cluster (`helm template`, Argo CD) nothing is known, and it is left out.
Wants {autoscaled, replicas, live}, the last as `lookup` finds it.
*/}}
{{- define "common.replicas" -}}
{{- if not .autoscaled -}}
replicas: {{ .replicas }}
{{- else if hasKey (.live.spec | default dict) "replicas" -}}
replicas: {{ int .live.spec.replicas }}
{{- end -}}
{{- end }}

{{/* What every container is denied: what Pod Security "restricted" asks for, and a root that can't be written. */}}
{{- define "common.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The pod's user. Wants {user, group}; the volumes are the group's. */}}
{{- define "common.user" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .group }}
  fsGroup: {{ .group }}
  # Not at each start: a database's folder is its own, and a large one takes long.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where pods run and what pulls their images. Wants {root, values, selector}; without a selector they are not spread. */}}
{{- define "common.scheduling" -}}
{{- $root := .root -}}
{{- $secrets := concat ((($root.Values.global).imagePullSecrets) | default list) ($root.Values.imagePullSecrets | default list) -}}
# Variables such as ORDERS_PORT=tcp://... for every Service would only confuse the settings.
enableServiceLinks: false
{{- with $secrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- end }}
{{- with .values.priorityClassName | default $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector | default $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations | default $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity | default $root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else if .selector }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    # A cluster of one node runs them all the same.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $.selector | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of a hook. Wants {on, weight}. What succeeded leaves nothing behind; what failed stays to be read. */}}
{{- define "common.hook" -}}
helm.sh/hook: {{ .on }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/*
The hook that makes Secrets which are not there yet. Wants {root, name, image, labels, plan}; `plan` is what make_secrets.py reads.
Not `lookup`: under `helm template` and in Argo CD that finds nothing, and would make other passwords each time.
*/}}
{{- define "common.secrets" -}}
{{- $on := "pre-install,pre-upgrade" -}}
{{- $name := printf "%s-secrets" .name -}}
{{- $here := .root.Release.Namespace -}}
{{- $names := dict -}}
{{- range prepend (.plan.secrets | default list) .plan.values -}}
{{- $_ := set $names .namespace (append (get $names .namespace | default list) .name) -}}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $here }}
  labels: {{- .labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" $on "weight" -20) | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  namespace: {{ $here }}
  labels: {{- .labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" $on "weight" -20) | nindent 4 }}
data:
  plan.json: {{ toJson .plan | quote }}
  make_secrets.py: |
    {{- .root.Files.Get "files/make_secrets.py" | nindent 4 }}
{{- range $namespace := keys $names | sortAlpha }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels: {{- $.labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" $on "weight" -20) | nindent 4 }}
rules:
  # To make those that are missing. The name of what is created can't be limited: the API server does not know it yet.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  # To see which are there, and to add a key that a newer chart asks for.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, patch]
    resourceNames: {{ get $names $namespace | uniq | sortAlpha | toJson }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels: {{- $.labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" $on "weight" -20) | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ $here }}}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  namespace: {{ $here }}
  labels: {{- .labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" $on "weight" -15) | nindent 4 }}
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 300
  template:
    metadata:
      labels:
        {{- .labels | nindent 8 }}
        pillion.dev/inject: "false"
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: true
      {{- include "common.scheduling" (dict "root" .root "values" dict) | nindent 6 }}
      {{- include "common.user" (dict "user" 65532 "group" 65532) | nindent 6 }}
      containers:
        - name: secrets
          {{- include "common.pull" .image | nindent 10 }}
          command: [python, -I, -B, /hook/make_secrets.py, /hook/plan.json]
          resources:
            requests: {cpu: 50m, memory: 32Mi}
            limits: {memory: 128Mi}
          {{- include "common.confined" . | nindent 10 }}
          volumeMounts:
            - {name: hook, mountPath: /hook, readOnly: true}
      volumes:
        - name: hook
          configMap: {name: {{ $name }}}
{{- end }}

{{/* The pod of `helm test`, which asks each address. Wants {root, name, labels, image, addresses}; without addresses there is none. */}}
{{- define "common.test" -}}
{{- if .addresses -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}-test
  labels: {{- .labels | nindent 4 }}
  annotations: {{- include "common.hook" (dict "on" "test" "weight" -5) | nindent 4 }}
data:
  check_addresses.py: |
    {{- .root.Files.Get "files/check_addresses.py" | nindent 4 }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .name }}-test
  labels:
    {{- .labels | nindent 4 }}
    pillion.dev/inject: "false"
  annotations: {{- include "common.hook" (dict "on" "test" "weight" 0) | nindent 4 }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  {{- include "common.scheduling" (dict "root" .root "values" dict) | nindent 2 }}
  {{- include "common.user" (dict "user" 65532 "group" 65532) | nindent 2 }}
  containers:
    - name: check
      {{- include "common.pull" .image | nindent 6 }}
      command: [python, -I, -B, /hook/check_addresses.py]
      args: {{- toYaml .addresses | nindent 8 }}
      resources:
        requests: {cpu: 50m, memory: 32Mi}
        limits: {memory: 128Mi}
      {{- include "common.confined" . | nindent 6 }}
      volumeMounts:
        - {name: hook, mountPath: /hook, readOnly: true}
  volumes:
    - name: hook
      configMap: {name: {{ .name }}-test}
{{- end }}
{{- end }}
