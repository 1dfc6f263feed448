{{/* Values that need or exclude each other -> one line per problem ("\n  - field: rule, and what to set"). `values/checks.yaml` calls them
     before it looks for what is missing, which depends on them. A rule that compares values is here and not in values.schema.json, of which
     Helm says only that `then` did not match. */}}
{{- define "jk8s.combinations" -}}
{{- include "jk8s.combinations.parts" . -}}
{{- include "jk8s.combinations.scope" . -}}
{{- include "jk8s.combinations.fronts" . -}}
{{- include "jk8s.combinations.sources" . -}}
{{- include "jk8s.combinations.identity" . -}}
{{- end }}

{{/* Parts of the chart, and what a setting presumes of another. */}}
{{- define "jk8s.combinations.parts" -}}
{{- $values := .Values -}}
{{- range $part := list "proxy" "manager" "portal" "identity" -}}
  {{- if and (get $values $part).enabled (not $values.gateway.enabled) }}
  - gateway.enabled: must be true with {{ $part }}.enabled=true, because {{ eq $part "proxy" | ternary "the proxy asks the gateway about every request" "users sign in at the gateway" }}: set gateway.enabled=true, or {{ $part }}.enabled=false
  {{- end -}}
{{- end -}}
{{- range $part := list "portal" "identity" -}}
  {{- if and (get $values $part).enabled (not $values.proxy.enabled) }}
  - proxy.enabled: must be true with {{ $part }}.enabled=true, because browsers reach it through the proxy: set proxy.enabled=true, or {{ $part }}.enabled=false
  {{- end -}}
{{- end -}}
{{- if and $values.identity.enabled $values.oidc.issuerUrl }}
  - oidc.issuerUrl: {{ quote $values.oidc.issuerUrl }} must not be set with identity.enabled=true, because the bundled provider is the issuer: leave it empty, or set identity.enabled=false
{{- end -}}
{{- if and $values.portal.enabled (eq $values.portal.scope "UserNamespaces") -}}
  {{- if not (has $values.portal.impersonation (list "Constrained" "Off")) }}
  - portal.impersonation: must be Constrained or Off with portal.scope: UserNamespaces, which bounds no other kind: set one of them, or portal.scope=Cluster
  {{- end -}}
  {{- if not $values.userNamespaces }}
  - userNamespaces: must not be empty with portal.scope: UserNamespaces, which lets the portal act there alone: name the namespaces, or set portal.scope=Cluster
  {{- end -}}
{{- end -}}
{{- $network := $values.networkPolicy -}}
{{- if and $values.monitoring.podMonitor.enabled $network.enabled (not $network.metricsNamespaces) }}
  - networkPolicy.metricsNamespaces: must not be empty with monitoring.podMonitor.enabled=true, because the chart lets no pod of another namespace read metrics: name the namespace of Prometheus, such as monitoring (also if a policy of yours lets it in), or set monitoring.podMonitor.enabled=false
{{- end -}}
{{- if and (eq $values.routing.mode "Subdomain") (ne $values.routing.pathModeSharing "Refuse") }}
  - routing.pathModeSharing: {{ $values.routing.pathModeSharing }} needs routing.mode: Path, because with a host for each workspace there is no risk to accept: set routing.pathModeSharing=Refuse, or routing.mode=Path
{{- end -}}
{{- $listed := dict -}}
{{- range $list := list "routeKinds" "objectKinds" -}}
  {{- range $index, $one := get $values.settings $list -}}
    {{- $kind := printf "%s %s" ($one.apiVersion | splitList "/" | first) $one.kind -}}
    {{- if hasKey $listed $kind }}
  - settings.{{ $list }}[{{ $index }}]: {{ $one.apiVersion }} {{ $one.kind }} must not be listed twice, in whatever versions, because settings.{{ get $listed $kind }} is the same kind, and an object of a template could replace a route: list it once, in one of the two lists
    {{- end -}}
    {{- $_ := set $listed $kind (printf "%s[%d]" $list $index) -}}
  {{- end -}}
{{- end -}}
{{- if not $values.settings.requireTemplate -}}
  {{- range $index, $one := $values.userNamespaces -}}
    {{- if not (kindIs "invalid" $one.templates) }}
  - userNamespaces[{{ $index }}].templates: needs settings.requireTemplate=true, because a workspace without template is bound by none: set it, or leave the templates of {{ $one.name }} out
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $index, $one := $values.userNamespaces -}}
  {{- $made := ne (toString $one.create) "false" -}}
  {{- if and $made (eq $one.name "default") }}
  - userNamespaces[{{ $index }}].name: "default" exists in every cluster, so the chart cannot make it: set userNamespaces[{{ $index }}].create=false, or choose another name
  {{- end -}}
  {{- if and (not $made) $one.labels }}
  - userNamespaces[{{ $index }}].labels: needs userNamespaces[{{ $index }}].create=true, because the chart labels only namespaces that it makes: set it, or label the namespace yourself and leave labels out
  {{- end -}}
{{- end -}}
{{- if not $values.gateway.bearer.enabled -}}
  {{- range $list := list "audiences" "issuers" -}}
    {{- if get $values.gateway.bearer $list }}
  - gateway.bearer.{{ $list }}: needs gateway.bearer.enabled=true, without which no token of a script is accepted: set it, or leave {{ $list }} empty
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* One namespace: no webhook runs, nothing beyond the namespace is read, and nobody administers more. */}}
{{- define "jk8s.combinations.scope" -}}
{{- $values := .Values -}}
{{- if not (include "jk8s.inOneNamespace" .) -}}
  {{- if ne $values.objects "All" }}
  - objects: {{ $values.objects }} needs scope: Namespace, because only an installation in one namespace is split: set objects=All, or scope=Namespace
  {{- end -}}
  {{- $memory := dig "resources" "limits" "memory" "" $values.webhook -}}
  {{- if and $memory (lt (float64 (include "jk8s.amount" $memory)) (float64 (include "jk8s.amount" "1664Mi"))) }}
  - webhook.resources.limits.memory: {{ include "jk8s.written" $memory }} must be at least 1664Mi, because the largest requests need it together: raise it, or leave it out
  {{- end -}}
{{- else -}}
  {{- $empty := dict "userNamespaces" $values.userNamespaces "administrators.users" $values.administrators.users "administrators.groups" $values.administrators.groups "webhook.apiServerNetworks" $values.webhook.apiServerNetworks -}}
  {{- range $field, $value := $empty -}}
    {{- if $value }}
  - {{ $field }}: must be empty with scope: Namespace, which has one namespace, no webhook and no administrators beyond it: leave it empty, or set scope=Cluster
    {{- end -}}
  {{- end -}}
  {{- if $values.prePull.enabled }}
  - prePull.enabled: must be false with scope: Namespace, because pods that pull images need a namespace of their own: set it to false, or scope=Cluster
  {{- end -}}
  {{- if $values.gateway.bearer.enabled }}
  - gateway.bearer.enabled: must be false with scope: Namespace, because reviews of tokens need rights in the whole cluster: set it to false, or scope=Cluster
  {{- end -}}
  {{- if eq $values.portal.impersonation "Any" }}
  - portal.impersonation: must not be Any with scope: Namespace, because Any acts in every namespace: set Constrained, Token or Off, or scope=Cluster
  {{- end -}}
  {{- if ne $values.webhook.enforcement "Refuse" }}
  - webhook.enforcement: {{ $values.webhook.enforcement }} needs scope: Cluster, because no webhook runs with scope: Namespace: set webhook.enforcement=Refuse, or scope=Cluster
  {{- end -}}
  {{- if ne (int $values.webhook.port) 9443 }}
  - webhook.port: {{ int $values.webhook.port }} needs scope: Cluster, because no webhook runs with scope: Namespace: set webhook.port=9443, or scope=Cluster
  {{- end -}}
{{- end -}}
{{- end }}

{{/* What leads the hosts to the proxy. */}}
{{- define "jk8s.combinations.fronts" -}}
{{- $proxy := .Values.proxy -}}
{{- $on := list -}}
{{- range $front := list "ingress" "httpRoute" "tlsRoute" "ingressRouteTCP" -}}
  {{- if (get $proxy $front).enabled -}}
    {{- $on = append $on (printf "proxy.%s.enabled" $front) -}}
    {{- if not $proxy.enabled }}
  - proxy.enabled: must be true with proxy.{{ $front }}.enabled=true, because it leads the hosts to the proxy: set proxy.enabled=true, or proxy.{{ $front }}.enabled=false
    {{- else if and (has $front (list "httpRoute" "tlsRoute")) (not (get $proxy $front).parentRefs) }}
  - proxy.{{ $front }}.parentRefs: must not be empty with proxy.{{ $front }}.enabled=true, because a route belongs to a Gateway: write its name (and namespace), or set proxy.{{ $front }}.enabled=false
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if $proxy.enabled -}}
{{- if gt (len $on) 1 }}
  - {{ join ", " $on }}: only one may be true, because one front leads all hosts to the proxy: set the others to false
{{- end -}}
{{- if or $proxy.ingress.enabled $proxy.httpRoute.enabled -}}
  {{- $plain := printf "proxy.%s.enabled=true" (ternary "ingress" "httpRoute" $proxy.ingress.enabled) -}}
  {{- if not $proxy.trustedProxies }}
  - proxy.trustedProxies: must not be empty with {{ $plain }}, because the port without TLS believes the addresses that the front tells: write the networks of the front's pods
  {{- end -}}
  {{- if not $proxy.front.from }}
  - proxy.front.from: must not be empty with {{ $plain }}, because nobody but the front may reach the port without TLS: write the peers of the front, such as its namespaceSelector
  {{- end -}}
  {{- if not .Values.networkPolicy.enabled }}
  - networkPolicy.enabled: must be true with {{ $plain }}, because nobody but the front may reach the port without TLS: set it to true, or choose proxy.tlsRoute or proxy.ingressRouteTCP, which keep TLS
  {{- end -}}
{{- else if $proxy.front.from }}
  - proxy.front.from: needs proxy.ingress.enabled=true or proxy.httpRoute.enabled=true, without which there is no port without TLS: set one of them, or leave proxy.front.from empty
{{- end -}}
{{- end -}}
{{- end }}

{{/* What has one source: certificates, authorities, the address of an HTTP proxy. */}}
{{- define "jk8s.combinations.sources" -}}
{{- $values := .Values -}}
{{- $tls := $values.proxy.tls -}}
{{- $issuer := $tls.certManager.issuerRef -}}
{{- $sources := list -}}
{{- if $tls.secretName }}{{ $sources = append $sources "proxy.tls.secretName" }}{{ end -}}
{{- if $tls.selfSigned }}{{ $sources = append $sources "proxy.tls.selfSigned" }}{{ end -}}
{{- if $issuer.name }}{{ $sources = append $sources "proxy.tls.certManager.issuerRef.name" }}{{ end -}}
{{- if and $values.proxy.enabled (gt (len $sources) 1) }}
  - {{ join ", " $sources }}: only one may be set, because the certificate of the proxy has one source: clear the others
{{- end -}}
{{- if and $values.proxy.enabled $issuer.name -}}
  {{- $group := $issuer.group | default "cert-manager.io" -}}
  {{- if and (eq $group "cert-manager.io") (not (has ($issuer.kind | default "Issuer") (list "Issuer" "ClusterIssuer"))) }}
  - proxy.tls.certManager.issuerRef.kind: {{ quote $issuer.kind }} must be Issuer or ClusterIssuer in the group cert-manager.io: set one of them, or the group of {{ $issuer.kind }}
  {{- else if and (ne $group "cert-manager.io") (not $issuer.kind) }}
  - proxy.tls.certManager.issuerRef.kind: must not be empty with the group {{ quote $group }}, whose kinds the chart does not know: set the kind of the issuer
  {{- end -}}
{{- end -}}
{{- if and $values.oidc.caSecretName $values.oidc.caConfigMapName }}
  - oidc.caConfigMapName: must be empty with oidc.caSecretName, because the authority has one source: clear one of them
{{- end -}}
{{- range $index, $one := $values.oidc.others -}}
  {{- if and $one.caSecretName $one.caConfigMapName }}
  - oidc.others[{{ $index }}].caConfigMapName: must be empty with oidc.others[{{ $index }}].caSecretName, because the authority has one source: clear one of them
  {{- end -}}
{{- end -}}
{{- if and $values.gateway.httpsProxy.url $values.gateway.httpsProxy.secretName }}
  - gateway.httpsProxy.secretName: must be empty with gateway.httpsProxy.url, because the address has one source: clear one of them; with a password the address belongs into the Secret
{{- end -}}
{{- end }}

{{/* The bundled provider: its database, and the providers behind it. */}}
{{- define "jk8s.combinations.identity" -}}
{{- $database := .Values.identity.database -}}
{{- if .Values.identity.enabled -}}
  {{- if not $database.host -}}
    {{- if .Values.identity.brokers }}
  - identity.brokers: needs identity.database.host, because without a database the users of brokers are others after each restart: set the host of a database, or leave identity.brokers empty
    {{- end -}}
    {{- range $key := list "passwordSecretName" "caSecretName" "caConfigMapName" -}}
      {{- if get $database $key }}
  - identity.database.{{ $key }}: needs identity.database.host, without which there is no database: set the host, or leave {{ $key }} empty
      {{- end -}}
    {{- end -}}
  {{- else -}}
    {{- if not $database.passwordSecretName }}
  - identity.database.passwordSecretName: must not be empty with identity.database.host: name the Secret with the key password
    {{- end -}}
    {{- $authorities := len (compact (list $database.caSecretName $database.caConfigMapName)) -}}
    {{- if and (eq $database.sslMode "verify-full") (ne $authorities 1) }}
  - identity.database: exactly one of caSecretName and caConfigMapName must be set with sslMode: verify-full, which verifies the certificate of the database: name the Secret or the ConfigMap with the key ca.crt
    {{- else if and (ne $database.sslMode "verify-full") $authorities }}
  - identity.database.{{ ternary "caSecretName" "caConfigMapName" (not (empty $database.caSecretName)) }}: needs identity.database.sslMode: verify-full, because {{ $database.sslMode }} verifies no certificate: set verify-full, or leave the authority out
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $index, $one := .Values.identity.brokers -}}
  {{- $at := printf "identity.brokers[%d]" $index -}}
  {{- range $key := list "issuerUrl" "authorizationUrl" "tokenUrl" "jwksUrl" -}}
    {{- $value := get $one $key -}}
    {{- if and (eq $one.type "OpenIDConnect") (not $value) }}
  - {{ $at }}.{{ $key }}: must not be empty with type: OpenIDConnect: copy it from the provider's discovery document
    {{- else if and (ne $one.type "OpenIDConnect") $value }}
  - {{ $at }}.{{ $key }}: needs type: OpenIDConnect, because the addresses of {{ $one.type }} are known: leave it out, or change the type
    {{- end -}}
  {{- end -}}
  {{- if and (ne $one.type "OpenIDConnect") $one.trustEmail }}
  - {{ $at }}.trustEmail: needs type: OpenIDConnect, because {{ $one.type }} says itself which addresses are verified: leave it out, or change the type
  {{- end -}}
  {{- if and (ne $one.type "Google") $one.hostedDomain }}
  - {{ $at }}.hostedDomain: needs type: Google, which alone has hosted domains: leave it out, or change the type
  {{- end -}}
{{- end -}}
{{- end }}
