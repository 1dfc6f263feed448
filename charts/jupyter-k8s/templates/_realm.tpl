{{/* Keycloak's realm as JSON. ${...} is replaced by Keycloak from its environment. */}}
{{- define "jk8s.realm" -}}
{{- $auth := include "jk8s.url" (list . (include "jk8s.authHost" .)) -}}
{{- $groups := list -}}
{{- $users := list -}}
{{- range $index, $account := .Values.identity.accounts -}}
  {{- $paths := list -}}
  {{- range $account.groups -}}
    {{- $groups = append $groups (dict "name" .) -}}
    {{- $paths = append $paths (printf "/%s" .) -}}
  {{- end -}}
  {{- /* A fixed id keeps the subject the same in a new pod, though the data goes with the old one. */ -}}
  {{- $hash := sha256sum (printf "jupyter-k8s account %s" $account.username) -}}
  {{- $id := printf "%s-%s-%s-%s-%s" (substr 0 8 $hash) (substr 8 12 $hash) (substr 12 16 $hash) (substr 16 20 $hash) (substr 20 32 $hash) -}}
  {{- $user := dict
      "id" $id
      "username" $account.username
      "enabled" true
      "groups" $paths
      "credentials" (list (dict "type" "password" "temporary" false "value" (printf "${ACCOUNT_%d_PASSWORD}" $index)))
  -}}
  {{- /* A verified address under a reserved domain, for trials. */ -}}
  {{- if not $.Values.identity.database.host -}}
    {{- $user = merge $user (dict "email" (printf "%s@example.com" $account.username) "emailVerified" true "firstName" (title $account.username) "lastName" "Demo") -}}
  {{- end -}}
  {{- $users = append $users $user -}}
{{- end -}}
{{- range .Values.identity.brokers -}}
  {{- range .groups }}{{ $groups = append $groups (dict "name" .) }}{{ end -}}
{{- end -}}
{{- $groupsMapper := dict
    "name" "groups"
    "protocol" "openid-connect"
    "protocolMapper" "oidc-group-membership-mapper"
    "config" (dict "claim.name" "groups" "full.path" "false" "id.token.claim" "true" "access.token.claim" "false" "userinfo.token.claim" "true")
-}}
{{- $client := dict
    "clientId" .Values.oidc.clientId
    "name" "Workspaces"
    "enabled" true
    "protocol" "openid-connect"
    "publicClient" false
    "clientAuthenticatorType" "client-secret"
    "secret" "${OIDC_CLIENT_SECRET}"
    "standardFlowEnabled" true
    "implicitFlowEnabled" false
    "directAccessGrantsEnabled" false
    "serviceAccountsEnabled" false
    "fullScopeAllowed" false
    "redirectUris" (list (printf "%s/callback" $auth))
    "webOrigins" list
    "frontchannelLogout" false
    "attributes" (dict
      "pkce.code.challenge.method" "S256"
      "post.logout.redirect.uris" (printf "%s/" $auth)
      "backchannel.logout.url" (printf "http://%s-backchannel.%s.svc:8081/backchannel-logout" (include "jk8s.name" (list . "proxy")) .Release.Namespace)
      "backchannel.logout.session.required" "true"
    )
    "protocolMappers" (list $groupsMapper)
-}}
{{- $clients := list $client -}}
{{- with .Values.identity.kubectlClientId -}}
  {{- $clients = append $clients (dict
      "clientId" .
      "name" "kubectl"
      "enabled" true
      "protocol" "openid-connect"
      "publicClient" true
      "standardFlowEnabled" true
      "implicitFlowEnabled" false
      "directAccessGrantsEnabled" false
      "serviceAccountsEnabled" false
      "fullScopeAllowed" false
      "redirectUris" (list "http://localhost:8000" "http://localhost:18000")
      "webOrigins" list
      "attributes" (dict "pkce.code.challenge.method" "S256")
      "protocolMappers" (list $groupsMapper)
  ) -}}
{{- end -}}
{{- /* In no sign-in does the provider ask for more than the password: where it stops to ask, a stranger who began the sign-in could
     take it over (CVE-2026-7507). A list that is given replaces Keycloak's own, so it names every action that Keycloak ships. */ -}}
{{- $actions := list -}}
{{- range list "CONFIGURE_RECOVERY_AUTHN_CODES" "CONFIGURE_TOTP" "TERMS_AND_CONDITIONS" "UPDATE_EMAIL" "UPDATE_PASSWORD" "UPDATE_PROFILE"
    "VERIFY_EMAIL" "VERIFY_PROFILE" "delete_account" "delete_credential" "idp_link" "update_user_locale" "verifiable_credential_offer"
    "webauthn-register" "webauthn-register-passwordless" -}}
  {{- $actions = append $actions (dict "alias" . "name" . "providerId" . "enabled" false "defaultAction" false "config" dict) -}}
{{- end -}}
{{- /* Keycloak makes this public client in every realm, and lets it exchange passwords for tokens. */ -}}
{{- $adminCli := dict
    "clientId" "admin-cli"
    "publicClient" true
    "standardFlowEnabled" false
    "directAccessGrantsEnabled" false
-}}
{{- $realm := dict
    "realm" "jupyter"
    "displayName" "Workspaces"
    "enabled" true
    "sslRequired" "external"
    "registrationAllowed" false
    "bruteForceProtected" true
    "groups" (uniq $groups)
    "users" $users
    "requiredActions" $actions
    "clients" (append $clients $adminCli)
-}}
{{- if .Values.identity.brokers }}{{ $realm = merge $realm (include "jk8s.realm.brokers" . | fromJson) }}{{ end -}}
{{- toPrettyJson $realm -}}
{{- end }}

{{/* The part of the realm that is about providers whose users sign in through it, as JSON. */}}
{{- define "jk8s.realm.brokers" -}}
{{- /* A first sign-in makes an account or fails: it shows no form, and never links an existing account. */ -}}
{{- $flow := "first sign-in through a broker" -}}
{{- $providers := list -}}
{{- $mappers := list -}}
{{- range $broker := .Values.identity.brokers -}}
  {{- $config := dict "clientId" .clientId "clientSecret" (printf "${vault.%s}" .name) "syncMode" "IMPORT" -}}
  {{- $kind := lower .type -}}
  {{- $verified := false -}}
  {{- if eq .type "GitHub" -}}
    {{- $config = merge $config (dict "defaultScope" "read:user user:email") -}}
  {{- else if eq .type "Google" -}}
    {{- $verified = true -}}
    {{- $config = merge $config (dict "defaultScope" "openid profile email" "useJwksUrl" "true") -}}
    {{- with .hostedDomain }}{{ $config = merge $config (dict "hostedDomain" .) }}{{ end -}}
  {{- else -}}
    {{- $kind = "oidc" -}}
    {{- $verified = default false .trustEmail -}}
    {{- $config = merge $config (dict
        "issuer" .issuerUrl
        "authorizationUrl" .authorizationUrl
        "tokenUrl" .tokenUrl
        "jwksUrl" .jwksUrl
        "useJwksUrl" "true"
        "validateSignature" "true"
        "disableUserInfo" "true"
        "clientAuthMethod" "client_secret_basic"
        "defaultScope" "openid profile email"
        "pkceEnabled" "true"
        "pkceMethod" "S256"
    ) -}}
  {{- end -}}
  {{- $providers = append $providers (dict
      "alias" .name
      "displayName" (.displayName | default (eq .type "OpenIDConnect" | ternary .name .type))
      "providerId" $kind
      "enabled" true
      "trustEmail" $verified
      "storeToken" false
      "firstBrokerLoginFlowAlias" $flow
      "config" $config
  ) -}}
  {{- range $number, $group := .groups -}}
    {{- $mappers = append $mappers (dict
        "name" (printf "group %d" $number)
        "identityProviderAlias" $broker.name
        "identityProviderMapper" "oidc-hardcoded-group-idp-mapper"
        "config" (dict "syncMode" "IMPORT" "group" (printf "/%s" $group))
    ) -}}
  {{- end -}}
{{- end -}}
{{- dict
    "identityProviders" $providers
    "identityProviderMappers" $mappers
    "authenticationFlows" (list (dict
      "alias" $flow
      "providerId" "basic-flow"
      "topLevel" true
      "builtIn" false
      "authenticationExecutions" (list (dict "authenticator" "idp-create-user-if-unique" "requirement" "REQUIRED" "priority" 10 "autheticatorFlow" false))
    ))
  | toJson -}}
{{- end }}
