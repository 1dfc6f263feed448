{{/* What is wrong with the identity providers, one line per problem. The gateway checks the same when it starts. */}}
{{- define "jk8s.signInProblems" -}}
{{- $root := . -}}
{{- $all := include "jk8s.allProviders" . | fromJsonArray -}}
{{- $names := list -}}
{{- range $all -}}
  {{- $at := .at -}}
  {{- if and .name (has .name $names) }}
  - {{ $at }}: another provider has this name
  {{- end -}}
  {{- $names = append $names .name -}}
  {{- if eq .name "main" }}
  - {{ $at }}.name: "main" is the provider under oidc: choose another name
  {{- end -}}
  {{- if and .caSecretName .caConfigMapName }}
  - {{ $at }}.caSecretName and {{ $at }}.caConfigMapName exclude each other: name one of them
  {{- end -}}
  {{- $host := (urlParse .issuer).hostname -}}
  {{- if and $root.Values.routing.baseDomain (include "jk8s.underBaseDomain" (list $root $host)) }}
  - {{ .issuerAt }}: host {{ $host }} must lie outside routing.baseDomain ({{ $root.Values.routing.baseDomain }}), which is for workspaces alone: a workspace could set cookies for it
  {{- end -}}
  {{- if regexMatch "/\\.well-known/openid-configuration/?$" .issuer }}
  - {{ .issuerAt }}: {{ quote .issuer }} ends in /.well-known/openid-configuration, which the gateway adds itself: leave it out, and write the issuer as that document names it ("issuer")
  {{- end -}}
  {{- include "jk8s.groupProblems" . -}}
  {{- if has .clientId $root.Values.gateway.bearer.audiences }}
  - gateway.bearer.audiences: {{ quote .clientId }} is the client that people sign in with ({{ $at }}.clientId), whose tokens must not give access: name the client of the scripts
  {{- end -}}
{{- end -}}
{{- with $root.Values.identity.kubectlClientId -}}
  {{- if has . (list $root.Values.oidc.clientId "account" "account-console" "admin-cli" "broker" "realm-management" "security-admin-console") }}
  - identity.kubectlClientId: {{ quote . }} is {{ eq . $root.Values.oidc.clientId | ternary "the client that people sign in with (oidc.clientId)" "a client of Keycloak's own" }}: choose another id, such as kubectl, or leave it empty
  {{- else if has . $root.Values.gateway.bearer.audiences }}
  - gateway.bearer.audiences: {{ quote . }} is the client of kubectl (identity.kubectlClientId), whose tokens the API server accepts: name another client for scripts
  {{- end -}}
{{- end -}}
{{- range $number, $one := $all -}}
  {{- range $other := slice $all (int (add1 $number)) -}}
    {{- include "jk8s.overlaps" (list $one $other) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* All providers as JSON, the main one first, with what is put before names of their users and groups. */}}
{{- define "jk8s.allProviders" -}}
{{- $all := list (merge (dict "at" "oidc" "name" "" "issuer" (include "jk8s.issuerUrl" .) "issuerAt" (ternary "identity.host" "oidc.issuerUrl" .Values.identity.enabled)) (omit .Values.oidc "others")) -}}
{{- range $number, $other := .Values.oidc.others -}}
  {{- $at := printf "oidc.others[%d] (%s)" $number $other.name -}}
  {{- $all = append $all (merge (dict "at" $at "issuer" $other.issuerUrl "issuerAt" (printf "%s.issuerUrl" $at)) $other) -}}
{{- end -}}
{{- $providers := list -}}
{{- range $all -}}
  {{- $userPrefix := default "" .usernamePrefix -}}
  {{- if eq $userPrefix "-" -}}
    {{- $userPrefix = "" -}}
  {{- else if and (not $userPrefix) (ne (default "sub" .usernameClaim) "email") -}}
    {{- $userPrefix = printf "%s#" .issuer -}}
  {{- end -}}
  {{- $providers = append $providers (merge (dict "users" $userPrefix "groups" (default "" .groupsPrefix)) .) -}}
{{- end -}}
{{- toJson $providers -}}
{{- end }}

{{/* Groups in allowedGroups that no user can have. */}}
{{- define "jk8s.groupProblems" -}}
{{- $provider := . -}}
{{- range $index, $group := .allowedGroups -}}
  {{- $at := printf "%s.allowedGroups[%d]: no user can have the group %q" $provider.at $index $group -}}
  {{- if not $provider.groupsClaim }}
  - {{ $at }}, because {{ $provider.at }}.groupsClaim is not set, so users have no groups: name the claim that holds them, or leave allowedGroups empty
  {{- else if not (hasPrefix $provider.groups $group) }}
  - {{ $at }}, because every group gets the prefix {{ quote $provider.groups }} ({{ $provider.at }}.groupsPrefix): write {{ printf "%s%s" $provider.groups $group | quote }}
  {{- else if $provider.groupsFilter -}}
    {{- $kept := false -}}
    {{- range $provider.groupsFilter }}{{ if hasPrefix . (trimPrefix $provider.groups $group) }}{{ $kept = true }}{{ end }}{{ end -}}
    {{- if not $kept }}
  - {{ $at }}, because {{ $provider.at }}.groupsFilter leaves out {{ trimPrefix $provider.groups $group | quote }}: add its beginning there, or take it out of allowedGroups
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Two providers that could give the same name to two users: (list one other) */}}
{{- define "jk8s.overlaps" -}}
{{- $one := index . 0 -}}
{{- $other := index . 1 -}}
{{- if eq $one.issuer $other.issuer }}
  - {{ $other.issuerAt }}: {{ $one.at }} has the same issuer; one issuer is one provider
{{- else -}}
  {{- if or (hasPrefix $one.users $other.users) (hasPrefix $other.users $one.users) }}
  - {{ $other.at }}.usernamePrefix: {{ quote $other.users }}, and {{ quote $one.users }} of {{ $one.at }}, could give two people one user name: neither may be empty or the beginning of the other; give each provider a prefix of its own, such as {{ printf "%s:" (default "partners" $other.name) | quote }}
  {{- end -}}
  {{- if and $one.groupsClaim $other.groupsClaim (or (hasPrefix $one.groups $other.groups) (hasPrefix $other.groups $one.groups)) }}
  - {{ $other.at }}.groupsPrefix: {{ quote $other.groups }}, and {{ quote $one.groups }} of {{ $one.at }}, could give two groups one name: neither may be empty or the beginning of the other; give each provider a prefix of its own, such as {{ printf "%s:" (default "partners" $other.name) | quote }}
  {{- end -}}
{{- end -}}
{{- end }}
