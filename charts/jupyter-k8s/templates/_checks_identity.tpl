{{/* What is wrong with the bundled provider's database and brokers, one line per problem. */}}
{{- define "jk8s.identityProblems" -}}
{{- if .Values.identity.enabled -}}
{{- include "jk8s.databaseProblems" . -}}
{{- $names := list -}}
{{- range $number, $broker := .Values.identity.brokers -}}
  {{- $at := printf "identity.brokers[%d] (%s)" $number $broker.name -}}
  {{- if has $broker.name $names }}
  - {{ $at }}.name: another broker has this name: choose one for each
  {{- end -}}
  {{- $names = append $names $broker.name -}}
  {{- range $key := list "issuerUrl" "authorizationUrl" "tokenUrl" "jwksUrl" "trustEmail" -}}
    {{- $value := get $broker $key -}}
    {{- if and $value (ne $broker.type "OpenIDConnect") }}
  - {{ $at }}.{{ $key }}: {{ toJson $value }} is for type OpenIDConnect, and this one is {{ $broker.type }}, which Keycloak knows by itself: leave it out
    {{- else if and (eq $broker.type "OpenIDConnect") (not $value) (ne $key "trustEmail") }}
  - {{ $at }}.{{ $key }}: is needed with type OpenIDConnect: copy it from the provider's discovery document
    {{- end -}}
  {{- end -}}
  {{- if and $broker.hostedDomain (ne $broker.type "Google") }}
  - {{ $at }}.hostedDomain: {{ quote $broker.hostedDomain }} is for type Google, and this one is {{ $broker.type }}: leave it out
  {{- end -}}
  {{- if not (or (eq $broker.type "Google") $broker.trustEmail) -}}
    {{- $needs := "" -}}
    {{- if $.Values.oidc.allowedEmailDomains }}{{ $needs = "oidc.allowedEmailDomains" }}{{ end -}}
    {{- if and (eq $.Values.oidc.usernameClaim "email") (eq $.Values.oidc.emailVerified "Required") }}{{ $needs = "oidc.usernameClaim: email" }}{{ end -}}
    {{- if $needs }}
  - {{ $at }}: {{ $needs }} needs verified addresses, and those of this broker do not count as verified, so none of its users could sign in: {{ ternary "set trustEmail if the provider verifies addresses, or " "" (eq $broker.type "OpenIDConnect") }}use oidc.allowedGroups and another claim
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and $names (not .Values.identity.database.host) }}
  - identity.brokers: {{ join ", " $names | quote }} need identity.database.host: without a database, their users are others after each restart and lose their workspaces
{{- end -}}
{{- end -}}
{{- end }}

{{- define "jk8s.databaseProblems" -}}
{{- $database := .Values.identity.database -}}
{{- $authority := or $database.caSecretName $database.caConfigMapName -}}
{{- if not $database.host -}}
{{- range $key := list "passwordSecretName" "caSecretName" "caConfigMapName" -}}
{{- with get $database $key }}
  - identity.database.{{ $key }}: {{ quote . }} has no effect without identity.database.host: set the host, or leave it empty
{{- end -}}
{{- end -}}
{{- else -}}
{{- if not $database.passwordSecretName }}
  - identity.database.passwordSecretName: is needed with identity.database.host: name a Secret with the key "password"
{{- end -}}
{{- if and $database.caSecretName $database.caConfigMapName }}
  - identity.database.caSecretName and identity.database.caConfigMapName exclude each other: name one of them
{{- end -}}
{{- if and (eq $database.sslMode "verify-full") (not $authority) }}
  - identity.database.sslMode: verify-full needs the authority of the server's certificate: set identity.database.caSecretName or caConfigMapName, or sslMode to require, which verifies no certificate
{{- else if and $authority (ne $database.sslMode "verify-full") }}
  - identity.database.sslMode: {{ $database.sslMode }} verifies no certificate, and an authority is set ({{ $authority }}): set sslMode to verify-full, or leave caSecretName and caConfigMapName empty
{{- end -}}
{{- if and (not $database.networks) (not (include "jk8s.namespaceOf" $database.host)) .Values.networkPolicy.enabled }}
  - identity.database.networks: is empty, so the provider does not reach {{ quote $database.host }}: name the network or address of the database
{{- end -}}
{{- end -}}
{{- end }}
