{{/* The address of a workspace, with <workspace> and <namespace> as placeholders. */}}
{{- define "jk8s.workspaceAddress" -}}
{{- if eq .Values.routing.mode "Path" -}}
{{ include "jk8s.url" (list . .Values.routing.baseDomain) }}/workspaces/<namespace>/<workspace>/
{{- else -}}
{{ include "jk8s.url" (list . (printf "<workspace>-<hash>.%s" .Values.routing.baseDomain)) }}/
{{- end -}}
{{- end }}

{{/* A text as one argument in a shell. */}}
{{- define "jk8s.shell" -}}
{{- if regexMatch "^[A-Za-z0-9@%+=:,./_-]+$" . }}{{ . }}{{ else }}'{{ replace "'" "'\\''" . }}'{{ end -}}
{{- end }}

{{/* Secrets and ConfigMaps that an administrator must create before pods start, as a JSON list: kind, name, keys, what they are, and for the
     command that makes them its type and its flags. */}}
{{- define "jk8s.expected" -}}
{{- $all := list -}}
{{- with ternary .Values.proxy.tls.secretName "" .Values.proxy.enabled -}}
  {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "tls.crt" "tls.key") "what" (printf "a certificate for %s" (include "jk8s.certified" $)) "type" "secret tls" "flags" "--cert=./fullchain.pem --key=./privkey.pem") -}}
{{- end -}}
{{- if .Values.gateway.enabled -}}
{{- range $provider := include "jk8s.allProviders" . | fromJsonArray -}}
  {{- $file := .name | default "client" -}}
  {{- with empty .name | ternary (include "jk8s.oidcSecretName" $) .clientSecretName -}}
    {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "clientSecret") "what" (ternary "any random text, by which the gateway and the bundled provider know each other, without a line break" (printf "the secret of the client %s at %s" $provider.clientId $provider.issuer) (and (empty $provider.name) $.Values.identity.enabled)) "type" "secret generic" "flags" (printf "--from-file=clientSecret=./%s-secret.txt" $file)) -}}
  {{- end -}}
  {{- $ca := printf "the authority of %s" .issuer -}}
  {{- with .caSecretName -}}
    {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "ca.crt") "what" $ca "type" "secret generic" "flags" "--from-file=ca.crt=./ca.crt") -}}
  {{- end -}}
  {{- with .caConfigMapName -}}
    {{- $all = append $all (dict "kind" "ConfigMap" "name" . "keys" (list "ca.crt") "what" $ca "type" "configmap" "flags" "--from-file=ca.crt=./ca.crt") -}}
  {{- end -}}
{{- end -}}
{{- with .Values.gateway.httpsProxy.secretName -}}
  {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "url") "what" "the address of the proxy, http://user:password@host:port" "type" "secret generic" "flags" "--from-file=url=./proxy-url.txt") -}}
{{- end -}}
{{- with .Values.gateway.pages.logoConfigMap -}}
  {{- if .name -}}
    {{- $all = append $all (dict "kind" "ConfigMap" "name" .name "keys" (list .key) "what" "the logo" "type" "configmap" "flags" (printf "--from-file=%s=./logo.png" .key)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.identity.enabled .Values.identity.accounts -}}
  {{- $name := .Values.identity.passwordsSecretName | default (include "jk8s.name" (list . "identity")) -}}
  {{- $keys := list -}}
  {{- $files := list -}}
  {{- range .Values.identity.accounts -}}
    {{- $keys = append $keys .username -}}
    {{- $files = append $files (printf "--from-file=%s=./%s.txt" .username .username) -}}
  {{- end -}}
  {{- $all = append $all (dict "kind" "Secret" "name" $name "keys" $keys "what" "a password of each account, without a line break" "type" "secret generic" "flags" (join " " $files)) -}}
{{- end -}}
{{- if .Values.identity.enabled -}}
  {{- $all = concat $all (include "jk8s.expectedOfIdentity" . | fromJsonArray) -}}
{{- end -}}
{{- $ingress := .Values.proxy.ingress -}}
{{- /* Unless cert-manager orders it. */ -}}
{{- $ordered := keys (default dict $ingress.annotations) | join " " | regexMatch "cert-manager.io/(cluster-)?issuer" -}}
{{- if and .Values.proxy.enabled $ingress.enabled $ingress.tls.secretName (not $ordered) (ne $ingress.tls.secretName (include "jk8s.tlsSecretName" .)) -}}
  {{- $all = append $all (dict "kind" "Secret" "name" $ingress.tls.secretName "keys" (list "tls.crt" "tls.key") "what" (printf "the Ingress's certificate for %s, without which browsers warn" (include "jk8s.certified" .)) "type" "secret tls" "flags" "--cert=./fullchain.pem --key=./privkey.pem") -}}
{{- end -}}
{{- range include "jk8s.pullSecrets" . | fromYamlArray -}}
  {{- $all = append $all (include "jk8s.pullSecret" (list . "credentials for the images") | fromJson) -}}
{{- end -}}
{{- concat $all (include "jk8s.expectedOfWorkspaces" . | fromJsonArray) | uniq | toJson -}}
{{- end }}

{{/* The same of the Secrets with which pods of workspaces, and those that pull in advance, pull their images, each in its namespace. */}}
{{- define "jk8s.expectedOfWorkspaces" -}}
{{- $namespaces := list -}}
{{- if include "jk8s.inOneNamespace" . }}{{ $namespaces = list .Release.Namespace }}{{ end -}}
{{- range .Values.userNamespaces }}{{ $namespaces = append $namespaces .name }}{{ end -}}
{{- $all := list -}}
{{- range $namespace := $namespaces -}}
{{- range $.Values.settings.imagePullSecrets -}}
  {{- $secret := include "jk8s.pullSecret" (list . "credentials for the images of workspaces") | fromJson -}}
  {{- $all = append $all (set $secret "namespace" $namespace) -}}
{{- end -}}
{{- end -}}
{{- if include "jk8s.prePulls" . -}}
{{- range concat .Values.settings.imagePullSecrets (include "jk8s.pullSecrets" . | fromYamlArray) | uniq -}}
  {{- $secret := include "jk8s.pullSecret" (list . "credentials for images that are pulled in advance, and for the operator's") | fromJson -}}
  {{- $all = append $all (set $secret "namespace" (include "jk8s.imagesNamespace" $)) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{/* What is expected of a Secret with credentials: (list name what), as JSON. */}}
{{- define "jk8s.pullSecret" -}}
{{- dict "kind" "Secret" "name" (index . 0) "keys" (list ".dockerconfigjson") "what" (index . 1) "type" "secret generic" "flags" "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=./config.json" | toJson -}}
{{- end }}

{{/* A line about each of these: "ok" if it is there with its keys, else the command that makes it. */}}
{{- define "jk8s.notes.expected" -}}
{{- range include "jk8s.expected" . | fromJsonArray }}
{{- $namespace := .namespace | default $.Release.Namespace }}
{{- $title := printf "%s %s%s" .kind .name (empty .namespace | ternary "" (print " in " .namespace)) }}
{{- $found := include "jk8s.lookup" (list "v1" .kind $namespace .name) | fromJson }}
{{- $missing := list }}
{{- range $key := .keys }}
{{- if not (or (hasKey (default dict $found.data) $key) (hasKey (default dict $found.binaryData) $key)) }}{{ $missing = append $missing $key }}{{ end }}
{{- end }}
{{- if not $missing }}
   ok    {{ $title }}
{{- else }}
   todo  {{ $title }}{{ if $found }} lacks {{ join ", " $missing }}{{ end }}: {{ .what }}
           kubectl create {{ .type }} {{ .name }} -n {{ $namespace }} {{ .flags }}{{ if $found }} --dry-run=client -o yaml | kubectl apply --server-side -f -{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* ServiceAccounts that this release uses and does not make. */}}
{{- define "jk8s.notes.accounts" -}}
{{- range $component := splitList " " (include "jk8s.componentsAndJobs" .) }}
{{- if not (include "jk8s.podValues" (list $ $component) | fromJson).serviceAccount.create }}
{{- $name := include "jk8s.accountName" (list $ $component) }}
{{- if include "jk8s.lookup" (list "v1" "ServiceAccount" $.Release.Namespace $name) | fromJson }}
   ok    ServiceAccount {{ $name }}
{{- else }}
   todo  ServiceAccount {{ $name }}, for {{ $component }}
           kubectl create serviceaccount {{ $name }} -n {{ $.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Roles that this release needs and does not make. */}}
{{- define "jk8s.notes.roles" -}}
{{- if not .Values.rbac.create }}
   todo  roles of this release, by an administrator with these permissions (rbac.create is false):
           helm template {{ .Release.Name }} <chart> -n {{ .Release.Namespace }} -f <values> --set rbac.create=true --show-only 'templates/rbac/*' | kubectl apply -f -
{{- end }}
{{- end }}

{{/* The issuer of cert-manager. */}}
{{- define "jk8s.notes.issuer" -}}
{{- with include "jk8s.issuer" . | fromJson }}
{{- if and $.Values.proxy.enabled .name }}
{{- $version := printf "%s/v1" .group }}
{{- $found := dict }}
{{- if and (eq .group "cert-manager.io") ($.Capabilities.APIVersions.Has (printf "%s/%s" $version .kind)) (or (eq .kind "Issuer") (not (include "jk8s.inOneNamespace" $))) }}
{{- $found = include "jk8s.lookup" (list $version .kind (eq .kind "Issuer" | ternary $.Release.Namespace "") .name) | fromJson }}
{{- end }}
{{- if $found }}
   ok    {{ .kind }} {{ .name }}
{{- else }}
   todo  {{ .kind }} {{ .name }}, from which the certificate is ordered. Those that exist:
           kubectl get issuers,clusterissuers --all-namespaces
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the hosts must lead. */}}
{{- define "jk8s.notes.dns" -}}
{{- $name := include "jk8s.name" (list . "proxy") }}
{{- $service := include "jk8s.lookup" (list "v1" "Service" .Release.Namespace $name) | fromJson }}
{{- $addresses := list }}
{{- range default list (default dict (default dict $service.status).loadBalancer).ingress }}
{{- $addresses = append $addresses (.ip | default .hostname) }}
{{- end }}
{{- $hosts := include "jk8s.certified" . }}
{{- if include "jk8s.fronts" . | fromYamlArray }}
   DNS           {{ $hosts }} must lead to {{ include "jk8s.entrance" . }}
{{- else if $addresses }}
   DNS           {{ $hosts }} must lead to {{ join ", " $addresses }}
{{- else }}
   DNS           {{ $hosts }} must lead to the address of this Service ({{ include "jk8s.serviceType" . }}):
                   kubectl get service {{ $name }} -n {{ .Release.Namespace }}
{{- end }}
{{- end }}

{{/* The first workspace: of the first user of the first namespace, who creates it by the administrator's hand. */}}
{{- define "jk8s.notes.workspace" -}}
{{- $template := include "jk8s.tests.template" . }}
{{- if and (not $template) .Values.settings.requireTemplate }}
{{- $template = "my-template" }}
   There is no template. Create one first (docs/templates.md). These commands assume the name my-template.
{{- end }}
{{- if include "jk8s.inOneNamespace" . }}
   First give users of the namespace the role:
     kubectl create rolebinding workspaces -n {{ .Release.Namespace }} --clusterrole={{ include "jk8s.clusterName" (list . "workspace-user") }} --group=<group>
   The annotation names its owner:
     kubectl create -n {{ .Release.Namespace }} -f - <<'YAML'
     apiVersion: workspaces.jupyter.org/v1alpha1
     kind: Workspace
     metadata: {name: my-notebook, annotations: {workspaces.jupyter.org/created-by: <your user name>}}
     spec: {displayName: My notebook{{ with $template }}, templateRef: {{ . }}{{ end }}}
     YAML
     kubectl wait workspace/my-notebook -n {{ .Release.Namespace }} --for=condition=Available --timeout=5m
     kubectl get workspace my-notebook -n {{ .Release.Namespace }} -o 'jsonpath={.status.url}{"\n"}'
{{- else }}
{{- $first := first (default (list (dict)) .Values.userNamespaces) }}
{{- $user := first (concat (default list $first.users) (default list $first.adminUsers) (list "")) }}
{{- $group := first (concat (default list $first.groups) (default list $first.adminGroups) (list "")) }}
{{- if not (or $user $group) }}
   No user may create a workspace yet: set a namespace and its users in userNamespaces, then run helm upgrade.
{{- else }}
{{- $found := dict }}
{{- if .Capabilities.APIVersions.Has "workspaces.jupyter.org/v1alpha1/Workspace" }}
{{- $found = include "jk8s.lookup" (list "workspaces.jupyter.org/v1alpha1" "Workspace" $first.name "my-notebook") | fromJson }}
{{- end }}
{{- if $found }}
   ok    Workspace my-notebook in {{ $first.name }}
{{- else }}
{{- $as := printf "--as=%s" (include "jk8s.shell" ($user | default "<user>")) }}
{{- if not $user }}{{ $as = printf "%s --as-group=%s" $as (include "jk8s.shell" $group) }}{{ end }}
{{- $workspace := dict "apiVersion" "workspaces.jupyter.org/v1alpha1" "kind" "Workspace" "metadata" (dict "name" "my-notebook" "namespace" $first.name) "spec" (dict "displayName" "My notebook") }}
{{- with $template }}{{ $_ := set $workspace.spec "templateRef" . }}{{ end }}
   It belongs to {{ $user | default "<user>" }}, and only this user can open it:
     echo '{{ toJson $workspace }}' | kubectl create {{ $as }} -f -
     kubectl wait workspace/my-notebook -n {{ $first.name }} --for=condition=Available --timeout=5m
{{- end }}
     kubectl get workspace my-notebook -n {{ $first.name }} -o 'jsonpath={.status.url}{"\n"}'
{{- end }}
{{- end }}
{{- if and .Values.proxy.enabled .Values.proxy.tls.selfSigned (not (include "jk8s.frontWithTls" .)) }}
   Browsers warn of the self-signed certificate, unless they trust its authority:
     kubectl get secret {{ include "jk8s.tlsSecretName" . }} -n {{ .Release.Namespace }} -o 'go-template={{ "{{" }}index .data "ca.crt" | base64decode}}' >ca.crt
{{- end }}
{{- if .Values.gateway.enabled }}
{{- range include "jk8s.allProviders" . | fromJsonArray }}
{{- if eq (default "sub" .usernameClaim) "sub" }}
   Users of {{ .issuer }} are called {{ .users }}<sub>. {{ include "jk8s.url" (list $ (include "jk8s.authHost" $)) }}/ shows users their name.
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Names of userNamespaces and administrators that no provider gives, as JSON: (list . "users" "adminUsers") or (list . "groups" "adminGroups") */}}
{{- define "jk8s.unknownNames" -}}
{{- $root := first . -}}
{{- $prefixes := list -}}
{{- range include "jk8s.allProviders" $root | fromJsonArray -}}
  {{- if or (has "users" $) .groupsClaim }}{{ $prefixes = append $prefixes (get . (index $ 1)) }}{{ end -}}
{{- end -}}
{{- $unknown := list -}}
{{- range append (default list $root.Values.userNamespaces) (default dict $root.Values.administrators) -}}
  {{- range concat (default list (get . (index $ 1))) (default list (get . (index $ 2))) -}}
    {{- $name := . -}}
    {{- /* Kubernetes and kubeadm give out some themselves. */ -}}
    {{- $known := regexMatch "^(system|kubeadm):" $name -}}
    {{- range $prefixes }}{{ if hasPrefix . $name }}{{ $known = true }}{{ end }}{{ end -}}
    {{- if and $root.Values.gateway.enabled (not $known) }}{{ $unknown = append $unknown $name }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- toJson (uniq $unknown) -}}
{{- end }}

{{/* Providers whose groups have no prefix while the portal acts as its users; as JSON. */}}
{{- define "jk8s.bareGroups" -}}
{{- $bare := list -}}
{{- if and .Values.gateway.enabled .Values.portal.enabled (include "jk8s.portal.actsIn" . | fromJsonArray) -}}
{{- range include "jk8s.allProviders" . | fromJsonArray }}{{ if and .groupsClaim (not .groups) }}{{ $bare = append $bare .at }}{{ end }}{{ end -}}
{{- end -}}
{{- toJson $bare -}}
{{- end }}

{{/* "yes" where the API server is too old for the portal's constrained impersonation. Only a cluster has a version that counts. */}}
{{- define "jk8s.readingPortal" -}}
{{- if and .Values.portal.enabled (eq .Values.portal.impersonation "Constrained") (.Capabilities.APIVersions.Has "apps/v1/Deployment") (semverCompare "<1.36-0" .Capabilities.KubeVersion.Version) }}yes{{ end -}}
{{- end }}

{{/* The same of the bundled provider's database, administrator and brokers. */}}
{{- define "jk8s.expectedOfIdentity" -}}
{{- $identity := .Values.identity -}}
{{- $all := list -}}
{{- $ca := printf "the authority of %s" $identity.database.host -}}
{{- with $identity.database.passwordSecretName -}}
  {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "password") "what" (printf "the password of %s at %s" $identity.database.user $identity.database.host) "type" "secret generic" "flags" "--from-file=password=./database-password.txt") -}}
{{- end -}}
{{- with $identity.database.caSecretName -}}
  {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "ca.crt") "what" $ca "type" "secret generic" "flags" "--from-file=ca.crt=./ca.crt") -}}
{{- end -}}
{{- with $identity.database.caConfigMapName -}}
  {{- $all = append $all (dict "kind" "ConfigMap" "name" . "keys" (list "ca.crt") "what" $ca "type" "configmap" "flags" "--from-file=ca.crt=./ca.crt") -}}
{{- end -}}
{{- with $identity.adminSecretName -}}
  {{- $all = append $all (dict "kind" "Secret" "name" . "keys" (list "username" "password") "what" "Keycloak's first administrator" "type" "secret generic" "flags" "--from-literal=username=admin --from-file=password=./admin-password.txt") -}}
{{- end -}}
{{- range $identity.brokers -}}
  {{- $all = append $all (dict "kind" "Secret" "name" .clientSecretName "keys" (list "clientSecret") "what" (printf "the secret of the client %s at %s" .clientId .name) "type" "secret generic" "flags" (printf "--from-file=clientSecret=./%s-secret.txt" .name)) -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{/* Brokers through which every account of a public service can sign in, as JSON. */}}
{{- define "jk8s.openBrokers" -}}
{{- $open := list -}}
{{- if and .Values.identity.enabled (not .Values.oidc.allowedEmailDomains) -}}
  {{- range .Values.identity.brokers -}}
    {{- $restricted := not (empty $.Values.oidc.allowedGroups) -}}
    {{- range .groups -}}
      {{- /* A group that contains all users of the broker is no restriction. */ -}}
      {{- if has (print $.Values.oidc.groupsPrefix .) $.Values.oidc.allowedGroups }}{{ $restricted = false }}{{ end -}}
    {{- end -}}
    {{- if and (not $restricted) (or (eq .type "GitHub") (and (eq .type "Google") (not .hostedDomain))) }}{{ $open = append $open (.displayName | default .type) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- toJson $open -}}
{{- end }}
