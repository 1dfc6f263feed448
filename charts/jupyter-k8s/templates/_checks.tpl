{{/* What is missing, names that clash, and what a cluster excludes: each check with field, value, rule and remedy, one line per problem
     ("\n  - field: ..."). `values/checks.yaml` calls them. `_combinations.tpl` has what values need of each other, `value-rules.yaml` what
     each must be. */}}

{{/* 1. Settings without a default. */}}
{{- define "jk8s.missing" -}}
{{- $without := false -}}
{{- range append (splitList " " (include "jk8s.components" .)) "application" -}}
  {{- if not (include "jk8s.registry" (list $ .)) }}{{ $without = true }}{{ end -}}
{{- end -}}
{{- if $without }}
  - image.registry: where the images were pushed, for example registry.example.com/jupyter-k8s
{{- end -}}
{{- if and (or .Values.proxy.enabled .Values.gateway.enabled .Values.manager.enabled) (not .Values.routing.baseDomain) }}
  - routing.baseDomain: a domain used for nothing but workspaces
{{- end -}}
{{- $tls := .Values.proxy.tls -}}
{{- if and .Values.proxy.enabled (not (or $tls.secretName $tls.certManager.issuerRef.name $tls.selfSigned)) }}
  - proxy.tls: where the certificate for {{ include "jk8s.certified" . }} comes from; set one of
      proxy.tls.certManager.issuerRef.name: an issuer of cert-manager
      proxy.tls.secretName: an existing Secret with tls.crt and tls.key
      proxy.tls.selfSigned: true, to try the product out or behind a load balancer with its own certificate; browsers warn
{{- end -}}
{{- if and .Values.identity.enabled (not .Values.identity.host) }}
  - identity.host: the host of the bundled identity provider
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.identity.enabled) (not .Values.oidc.issuerUrl) }}
  - oidc.issuerUrl: the OpenID Connect provider that users sign in with (or, to try the product out, identity.enabled=true)
{{- end -}}
{{- end }}

{{- define "jk8s.problems" -}}
{{- $root := . -}}
{{- /* 2. Service names are at most 63 characters. */ -}}
{{- if gt (len .Release.Name) 40 }}
  - release name: {{ quote .Release.Name }} has more than 40 characters, and Services are called after it: choose a shorter one
{{- end -}}
{{- $all := include "jk8s.allProviders" . | fromJsonArray -}}
{{- range $number, $one := $all -}}
  {{- /* 3. A page of a workspace could set cookies for its provider. */ -}}
  {{- $host := (urlParse $one.issuer).hostname -}}
  {{- if and $root.Values.routing.baseDomain (include "jk8s.underBaseDomain" (list $root $host)) }}
  - {{ $one.issuerAt }}: the host {{ quote $host }} must be outside routing.baseDomain ({{ $root.Values.routing.baseDomain }}), where a workspace could set cookies for it: choose another host or another baseDomain
  {{- end -}}
  {{- range $other := slice $all (int (add1 $number)) }}{{ include "jk8s.overlaps" (list $one $other) }}{{ end -}}
{{- end -}}
{{- /* 5. Tokens of one client must not be accepted in place of another's. */ -}}
{{- $clients := dict "account" "Keycloak itself" "account-console" "Keycloak itself" "admin-cli" "Keycloak itself" "broker" "Keycloak itself" "realm-management" "Keycloak itself" "security-admin-console" "Keycloak itself" -}}
{{- range $all }}{{ $_ := set $clients .clientId (printf "%s.clientId, which users sign in with" .at) }}{{ end -}}
{{- $kubectl := .Values.identity.kubectlClientId -}}
{{- if and $kubectl (hasKey $clients $kubectl) }}
  - identity.kubectlClientId: {{ quote $kubectl }} must be another client than that of {{ get $clients $kubectl }}: choose another id, such as kubectl, or leave it empty
{{- end -}}
{{- if $kubectl }}{{ $_ := set $clients $kubectl "identity.kubectlClientId" }}{{ end -}}
{{- range $index, $audience := .Values.gateway.bearer.audiences -}}
  {{- if hasKey $clients $audience }}
  - gateway.bearer.audiences[{{ $index }}]: {{ quote $audience }} must be another client than that of {{ get $clients $audience }}: its tokens must not open workspaces; name the client of the scripts
  {{- end -}}
{{- end -}}
{{- /* 6. Rights and policies are those of an account. */ -}}
{{- $accounts := dict -}}
{{- range $component := splitList " " (include "jk8s.componentsAndJobs" .) -}}
  {{- $account := include "jk8s.accountName" (list $root $component) -}}
  {{- with get $accounts $account }}
  - {{ $component }}.serviceAccount.name: {{ quote $account }} must not be the account of {{ . }}, too, as rights and policies of the two differ: name another
  {{- end -}}
  {{- $_ := set $accounts $account $component -}}
{{- end -}}
{{- /* 7. Namespaces that are not for workspaces. */ -}}
{{- $named := list -}}
{{- range $index, $one := .Values.userNamespaces -}}
  {{- if has $one.name $named }}
  - userNamespaces[{{ $index }}].name: {{ quote $one.name }} must be named once: write all of it in one entry
  {{- end -}}
  {{- $named = append $named $one.name -}}
  {{- if has $one.name (append $root.Values.operator.forbiddenNamespaces $root.Release.Namespace) }}
  - userNamespaces[{{ $index }}].name: {{ quote $one.name }} must be neither the namespace of the release, which holds its keys, nor in operator.forbiddenNamespaces: choose another
  {{- end -}}
{{- end -}}
{{- $tested := .Values.tests.namespace -}}
{{- if and $tested (include "jk8s.inOneNamespace" .) (ne $tested .Release.Namespace) }}
  - tests.namespace: {{ quote $tested }} must be the namespace of the release with scope: Namespace: leave it empty
{{- else if and $tested (not (include "jk8s.inOneNamespace" .)) (eq $tested .Release.Namespace) }}
  - tests.namespace: {{ quote $tested }} must not be the namespace of the release, which has no workspaces: choose another, or leave it empty
{{- end -}}
{{- /* 8. Templates that exist. */ -}}
{{- $made := include "jk8s.templates" . | fromYamlArray -}}
{{- if and $made .Values.defaultTemplate (not (has .Values.defaultTemplate $made)) }}
  - defaultTemplate: {{ quote .Values.defaultTemplate }} not found in templates: write one of {{ join ", " $made }}, or "" for none
{{- end -}}
{{- if $made -}}
  {{- range $index, $one := .Values.userNamespaces -}}
    {{- range $number, $name := $one.templates -}}
      {{- if not (or (has $name $made) (include "jk8s.lookup" (list "workspaces.jupyter.org/v1alpha1" "WorkspaceTemplate" "" $name) | fromJson)) }}
  - userNamespaces[{{ $index }}].templates[{{ $number }}]: {{ quote $name }} not found in templates: write one of {{ join ", " $made }}, or add it to templates, or apply it before
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.applications (not .Values.templates.jupyterlab) }}
  - applications: templates.jupyterlab must not be null, because {{ join ", " .Values.applications }} has its values: keep it, or leave applications empty
{{- end -}}
{{- include "jk8s.clusterProblems" . -}}
{{- end }}

{{/* 9, 10. Another installation of this cluster, and definitions of another product. Without a cluster, as in `helm template`, there are none;
     who installs in one namespace may not read the cluster's. */}}
{{- define "jk8s.clusterProblems" -}}
{{- $policies := list -}}
{{- if and .Release.IsInstall (ne .Values.objects "Namespace") -}}
{{- $policies = (include "jk8s.lookup" (list "admissionregistration.k8s.io/v1" "ValidatingAdmissionPolicy" "" "") | fromJson).items -}}
{{- end -}}
{{- range $policies -}}
  {{- if eq (toString (get (default dict .metadata.labels) "app.kubernetes.io/name")) "jupyter-k8s" -}}
    {{- $release := get (default dict .metadata.labels) "app.kubernetes.io/instance" -}}
    {{- if and (hasSuffix "-status" .metadata.name) (ne $release $.Release.Name) }}
  - release: this cluster has the release {{ quote $release }} of this chart, and each would stop the other's status writes: upgrade that one, or uninstall it first
    {{- else if and (not (include "jk8s.inOneNamespace" $)) (regexMatch "-status\\.[^.]+$" .metadata.name) }}
  - scope: the namespace {{ splitList "." .metadata.name | last | quote }} has an installation of its own, and with scope: Cluster both would work on its workspaces: remove that one first ("One namespace" in docs/install.md)
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $path, $_ := ternary (.Files.Glob "crds/*.yaml") dict (ne .Values.objects "Namespace") -}}
  {{- $name := regexFind "\n  name: \\S+\\.workspaces\\.jupyter\\.org" ($.Files.Get $path) | trim | trimPrefix "name: " -}}
  {{- $live := include "jk8s.lookup" (list "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name) | fromJson -}}
  {{- with get (default dict (default dict $live.metadata).annotations) "controller-gen.kubebuilder.io/version" }}
  - release: the CustomResourceDefinition {{ quote $name }} of this cluster must be of this product, and controller-gen {{ . }} generated it: replace it as docs/coming-over.md says, or choose another cluster
  {{- end -}}
{{- end -}}
{{- end }}

{{/* 4. Two providers that could give one name to two users: (list one other) */}}
{{- define "jk8s.overlaps" -}}
{{- $one := index . 0 -}}
{{- $other := index . 1 -}}
{{- $prefix := printf "%s:" (default "partners" $other.name) | quote -}}
{{- if eq $one.name $other.name }}
  - {{ $other.at }}.name: {{ quote $other.name }} must be the name of one provider: choose another
{{- end -}}
{{- if eq $one.issuer $other.issuer }}
  - {{ $other.issuerAt }}: {{ quote $other.issuer }} must not be the issuer of {{ $one.at }}, too: one issuer is one provider, so remove it from oidc.others
{{- else -}}
  {{- if or (hasPrefix $one.users $other.users) (hasPrefix $other.users $one.users) }}
  - {{ $other.at }}.usernamePrefix: {{ quote $other.users }}, and {{ quote $one.users }} of {{ $one.at }}, could give two users one name: neither may be empty or the beginning of the other; give each provider its own prefix, such as {{ $prefix }}
  {{- end -}}
  {{- if and $one.groupsClaim $other.groupsClaim (or (hasPrefix $one.groups $other.groups) (hasPrefix $other.groups $one.groups)) }}
  - {{ $other.at }}.groupsPrefix: {{ quote $other.groups }}, and {{ quote $one.groups }} of {{ $one.at }}, could give two groups one name: neither may be empty or the beginning of the other; give each provider its own prefix, such as {{ $prefix }}
  {{- end -}}
{{- end -}}
{{- end }}
