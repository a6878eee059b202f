{{/*
Consul's rules for a service's token. Wants {service, catalog}. Where no client agent runs (`consul.mode: catalog`), the first pod on a node
makes the node called pillion-… that stands for it, and Consul has no right to make a node that is not one to remove it.
*/}}
{{- define "infrastructure.serviceRules" -}}
service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
{{- if .catalog }}
node_prefix "pillion-" { policy = "write" }
{{- end }}
agent_prefix "" { policy = "read" }
service "{{ .service }}" { policy = "write" }
key_prefix "config/{{ .service }}/" { policy = "read" }
key_prefix "config/_shared/" { policy = "read" }
key "pillion/{{ .service }}" { policy = "read" }
{{- end }}

{{/*
Rules of what registers services of any name. The nodes called pillion-… are those that `consul.mode: catalog` makes for services which no
client agent knows.
*/}}
{{- define "infrastructure.anyRules" -}}
service_prefix "" { policy = "write" }
node_prefix "" { policy = "read" }
node_prefix "pillion-" { policy = "write" }
agent_prefix "" { policy = "read" }
{{- end }}

{{/* Rules of each of Consul's tokens, as JSON. */}}
{{- define "infrastructure.tokens" -}}
{{- $read := "service_prefix \"\" { policy = \"read\" }\nnode_prefix \"\" { policy = \"read\" }\n" -}}
{{- $agent := "node_prefix \"\" { policy = \"write\" }\nservice_prefix \"\" { policy = \"read\" }\n" -}}
{{- $tokens := dict "agent" $agent "dns" $read "gateway" (printf "%sagent_prefix \"\" { policy = \"read\" }\nkey \"pillion/gateway\" { policy = \"read\" }\n" $read) -}}
{{- $any := include "infrastructure.anyRules" . -}}
{{- $_ := set $tokens "injector" $any -}}
{{- $_ := set $tokens "sidecar" (printf "%s\nkey_prefix \"config/\" { policy = \"read\" }\nkey_prefix \"pillion/\" { policy = \"read\" }\n" $any) -}}
{{- range .Values.consul.acl.services }}
{{- $_ := set $tokens . (include "infrastructure.serviceRules" (dict "service" . "catalog" (not $.Values.consul.client.enabled))) }}
{{- end -}}
{{- toJson (merge (deepCopy .Values.consul.acl.tokens) $tokens) -}}
{{- end }}

{{/* NATS' users as its configuration, with places for the passwords. */}}
{{- define "infrastructure.natsUsers" -}}
{{- $users := list -}}
{{- range $name := .Values.nats.services -}}
{{- $publish := list (printf "%s.>" $name) "$JS.API.INFO" -}}
{{- range list "INFO" "CREATE" "UPDATE" -}}
{{- $publish = append $publish (printf "$JS.API.STREAM.%s.%s" . $name) -}}
{{- end -}}
{{- $rights := dict "publish" $publish "subscribe" (list "_INBOX.>") -}}
{{- $users = append $users (dict "user" $name "password" (printf "[[nats-%s]]" $name) "permissions" $rights) -}}
{{- end -}}
{{- $rights := dict "publish" (list "$JS.API.>" "$JS.ACK.>") "subscribe" (list ">") -}}
{{- $users = append $users (dict "user" "operator" "password" "[[nats-operator]]" "permissions" $rights) -}}
authorization { users: {{ toRawJson $users }} }
{{- end }}

{{/*
What make_secrets.py is to make, as JSON: one Secret of random values, which only the hook reads, and from it one Secret for each server and,
in each consumer namespace, one for each user of a server.
*/}}
{{- define "infrastructure.plan" -}}
{{- $name := include "infrastructure.name" . -}}
{{- $here := .Release.Namespace -}}
{{- $spaces := prepend .Values.consumerNamespaces $here | uniq -}}
{{- $kinds := dict -}}
{{- $secrets := list -}}
{{- $shared := dict -}}
{{- $brokers := dict -}}
{{- with .Values.consul }}
{{- if and .enabled (not .existingSecret) (or .gossipEncryption .acl.enabled) -}}
{{- $server := dict -}}
{{- $client := dict -}}
{{- $files := dict -}}
{{- if .gossipEncryption -}}
{{- $_ := set $kinds "consul-gossip" "key" -}}
{{- $_ := set $server "encrypt" "[[consul-gossip]]" -}}
{{- $_ := set $client "encrypt" "[[consul-gossip]]" -}}
{{- end -}}
{{- if .acl.enabled -}}
{{- $_ := set $kinds "consul-management" "uuid" -}}
{{- $_ := set $files "management" "[[consul-management]]" -}}
{{- range $token, $rules := include "infrastructure.tokens" $ | fromJson -}}
{{- $_ := set $kinds (printf "consul-%s" $token) "uuid" -}}
{{- $_ := set $files $token (printf "[[consul-%s]]" $token) -}}
{{- if not (has $token (list "agent" "dns")) -}}
{{- $_ := set $shared (printf "%s-consul-%s" $name $token) (dict "token" (printf "[[consul-%s]]" $token)) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "agent" "[[consul-agent]]" "dns" "[[consul-dns]]" -}}
{{- $_ := set $client "acl" (dict "tokens" $own) -}}
{{- $_ := set $server "acl" (dict "tokens" (merge (dict "initial_management" "[[consul-management]]") $own)) -}}
{{- end -}}
{{- $_ := set $files "server.json" (toRawJson $server) -}}
{{- $_ := set $files "client.json" (toRawJson $client) -}}
{{- $secrets = append $secrets (dict "namespace" $here "name" (printf "%s-consul" $name) "data" $files) -}}
{{- end -}}
{{- end -}}
{{- with .Values.nats }}
{{- if and .enabled (not .existingSecret) -}}
{{- range append .services "operator" -}}
{{- $_ := set $kinds (printf "nats-%s" .) "password" -}}
{{- $url := printf "nats://%s:[[nats-%s]]@%s:4222" . . (include "infrastructure.host" (dict "root" $ "host" "nats")) -}}
{{- if ne . "operator" -}}
{{- $_ := set $shared (printf "%s-nats-%s" $name .) (dict "url" $url) -}}
{{- $_ := set $brokers . $url -}}
{{- end -}}
{{- end -}}
{{- $secrets = append $secrets (dict "namespace" $here "name" (printf "%s-nats" $name) "data" (dict "users.conf" (include "infrastructure.natsUsers" $))) -}}
{{- end -}}
{{- end -}}
{{- with .Values.postgres }}
{{- if and .enabled (not .existingSecret) -}}
{{- $roles := dict "install" "pillion_install" "relay" "pillion_relay" .role .role -}}
{{- $files := dict -}}
{{- range list "superuser" "install" "relay" "backup" .role -}}
{{- $value := printf "postgres-%s" (replace "_" "-" .) -}}
{{- $_ := set $kinds $value "password" -}}
{{- $_ := set $files . (printf "[[%s]]" $value) -}}
{{- end -}}
{{- $secrets = append $secrets (dict "namespace" $here "name" (printf "%s-postgres" $name) "data" $files) -}}
{{- $at := printf "%s:5432/%s" (include "infrastructure.host" (dict "root" $ "host" "postgres")) .database -}}
{{- range $key, $role := $roles -}}
{{- $login := printf "%s:[[postgres-%s]]" $role (replace "_" "-" $key) -}}
{{- $data := dict "url" (printf "postgresql://%s@%s" $login $at) "sqlalchemy" (printf "postgresql+psycopg://%s@%s" $login $at) -}}
{{- $_ := set $shared (printf "%s-postgres-%s" $name (replace "_" "-" $key)) $data -}}
{{- end -}}
{{- /* Both in one, as the sidecar of a service with an outbox gets them. */ -}}
{{- range $service, $broker := $brokers -}}
{{- $url := printf "postgresql://pillion_relay:[[postgres-relay]]@%s" $at -}}
{{- $_ := set $shared (printf "%s-outbox-%s" $name $service) (dict "url" $url "broker" $broker) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $space := $spaces -}}
{{- range $secret, $data := $shared -}}
{{- $secrets = append $secrets (dict "namespace" $space "name" $secret "data" $data) -}}
{{- end -}}
{{- end -}}
{{- if $kinds -}}
{{- $labels := dict "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/part-of" "infrastructure" -}}
{{- $values := dict "namespace" $here "name" (printf "%s-values" $name) "kinds" $kinds -}}
{{- toJson (dict "labels" $labels "values" $values "secrets" $secrets) -}}
{{- end -}}
{{- end }}
