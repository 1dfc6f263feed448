{{/* Each of these gives one line per problem ("\n  - field: ..."), or nothing.
     Here: missing settings, contradictions that belong to no topic with a file of its own, resources. `values/checks.yaml` calls all. */}}

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
{{- if and .Values.proxy.enabled (not (include "jk8s.certificateSources" . | fromJsonArray)) }}
  - proxy.tls: where the certificate for {{ include "jk8s.certified" . }} comes from; set one of
      proxy.tls.certManager.issuerRef.name: an issuer of cert-manager
      proxy.tls.secretName: an existing Secret with tls.crt and tls.key
      proxy.tls.selfSigned: true, to try the product out or behind a load balancer with its own certificate; browsers warn
{{- end -}}
{{- if and .Values.identity.enabled (not .Values.identity.host) }}
  - identity.host: the host of the bundled identity provider
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.identity.enabled) (not .Values.oidc.issuerUrl) }}
  - oidc.issuerUrl: the OpenID Connect provider that people sign in with (or, to try the product out, identity.enabled=true)
{{- end -}}
{{- end }}

{{/* Settings that exclude each other or cannot work together, apart from sign-in. */}}
{{- define "jk8s.contradictions" -}}
{{- if and .Values.identity.enabled .Values.oidc.issuerUrl }}
  - oidc.issuerUrl and identity.enabled exclude each other: the bundled identity provider is its own issuer
{{- end -}}
{{- if and (eq .Values.routing.mode "Subdomain") (ne .Values.routing.pathModeSharing "Refuse") }}
  - routing.pathModeSharing: AcceptRisk is for routing.mode: Path; with a host for each workspace there is no such risk
{{- end -}}
{{- if gt (len .Release.Name) 40 }}
  - release name {{ quote .Release.Name }} is too long: at most 40 characters, because objects are called <release>-gateway-keys
{{- end -}}
{{- $session := .Values.gateway.session -}}
{{- if and (gt (int $session.idleMinutes) (int $session.lifetimeMinutes)) (ne (int $session.idleMinutes) (int (include "jk8s.defaultIdleMinutes" .))) }}
  - gateway.session.idleMinutes: {{ int $session.idleMinutes }} is more than gateway.session.lifetimeMinutes ({{ int $session.lifetimeMinutes }}), with which every session ends: set it to {{ int $session.lifetimeMinutes }} or less, or raise lifetimeMinutes
{{- end -}}
{{- range $at, $networks := dict "proxy.trustedProxies" .Values.proxy.trustedProxies "proxy.proxyProtocol.trustedIPs" .Values.proxy.proxyProtocol.trustedIPs -}}
{{- range $index, $network := $networks -}}
{{- if include "jk8s.tooWide" $network }}
  - {{ $at }}[{{ $index }}]: {{ quote $network }} is too wide, so clients could claim to be others: name only the networks of your load balancers (IPv4: /8 or longer, not as ::ffff:…; IPv6: /16 or longer), or none
{{- end -}}
{{- end -}}
{{- end -}}
{{- $service := merge (dict "type" (include "jk8s.serviceType" .)) .Values.proxy.service -}}
{{- if and (eq $service.type "ClusterIP") (not $service.externalIPs) (eq $service.externalTrafficPolicy "Local") }}
  - proxy.service.externalTrafficPolicy: Local is for a Service that is reached from outside, which type ClusterIP without externalIPs is not: leave it at Cluster, or choose another type
{{- end -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if and (get $service $key) (ne $service.type "LoadBalancer") }}
  - proxy.service.{{ $key }}: {{ get $service $key | join ", " | quote }} is for proxy.service.type LoadBalancer, which is {{ $service.type }}: choose that type, or leave {{ $key }} empty
{{- end -}}
{{- end -}}
{{- if and $service.nodePort (eq $service.type "ClusterIP") }}
  - proxy.service.nodePort: {{ int $service.nodePort }} is for proxy.service.type NodePort or LoadBalancer, and a ClusterIP has none: choose one of these types, or set 0
{{- end -}}
{{- if and $service.http (eq (int .Values.routing.port) 80) }}
  - proxy.service.http: routing.port is 80 as well, so nothing is left to redirect from: set http to false, or another routing.port
{{- end -}}
{{- if and (gt (len (default list $service.ipFamilies)) 1) (or (not $service.ipFamilyPolicy) (eq $service.ipFamilyPolicy "SingleStack")) }}
  - proxy.service.ipFamilies: {{ join ", " $service.ipFamilies | quote }} are two, for which proxy.service.ipFamilyPolicy has to be PreferDualStack or RequireDualStack: set that, or name one family
{{- end -}}
{{- $proxy := .Values.gateway.httpsProxy -}}
{{- if and $proxy.url $proxy.secretName }}
  - gateway.httpsProxy: url ({{ quote $proxy.url }}) and secretName ({{ quote $proxy.secretName }}) exclude each other: keep url, or put the address into the Secret if it has a password
{{- end -}}
{{- $bearer := .Values.gateway.bearer -}}
{{- range $key := list "audiences" "issuers" -}}
{{- if and (get $bearer $key) (not $bearer.enabled) }}
  - gateway.bearer.{{ $key }}: {{ get $bearer $key | join ", " | quote }} has no effect while gateway.bearer.enabled is false: set that to true, or leave the list empty
{{- end -}}
{{- end -}}
{{- $sources := dict -}}
{{- range $index, $one := .Values.settings.imageMirrors -}}
{{- if hasKey $sources $one.source }}
  - settings.imageMirrors[{{ $index }}].source: {{ quote $one.source }} is named twice: keep one of them
{{- end -}}
{{- if regexMatch "^index\\.docker\\.io(/|$)" $one.source }}
  - settings.imageMirrors[{{ $index }}].source: {{ quote $one.source }} matches nothing: write docker.io
{{- end -}}
{{- $_ := set $sources $one.source true -}}
{{- end -}}
{{- $aliases := .Values.settings.imageAliases -}}
{{- range $alias, $image := $aliases -}}
{{- if or (hasKey $aliases $image) (eq $image "uv") }}
  - settings.imageAliases.{{ $alias }}: {{ quote $image }} is itself an alias, and an alias never leads to another: name an image
{{- end -}}
{{- end -}}
{{- end }}

{{/* Requests that are more than their limits, wherever the chart's values have both. */}}
{{- define "jk8s.resourceProblems" -}}
{{- range list "proxy" "gateway" "portal" "operator" "webhook" "identity" "crds" "uninstall" "tests" -}}
{{- include "jk8s.requestsBeyondLimits" (list (printf "%s.resources" .) (get $.Values .).resources) -}}
{{- end -}}
{{- include "jk8s.requestsBeyondLimits" (list "settings.defaultResources" .Values.settings.defaultResources) -}}
{{- with (default (dict) (default (dict) .Values.webhook.resources).limits).memory -}}
{{- if include "jk8s.isMore" (list "1Gi" .) }}
  - webhook.resources.limits.memory: {{ toString . | quote }} is less than 1Gi, which the largest admission requests can take together: set 1Gi or more
{{- end -}}
{{- end -}}
{{- end }}

{{/* Default of gateway.session.idleMinutes: at most lifetimeMinutes. */}}
{{- define "jk8s.defaultIdleMinutes" -}}120{{- end }}

{{/* If only lifetimeMinutes is set, and it is shorter, it replaces the default. */}}
{{- define "jk8s.idleMinutes" -}}
{{- min (int .Values.gateway.session.idleMinutes) (int .Values.gateway.session.lifetimeMinutes) -}}
{{- end }}

{{/* Names of templates whose workspaces are Public by default, which does not count in this routing mode; as JSON. */}}
{{- define "jk8s.uncountedPublic" -}}
{{- $names := list -}}
{{- if and .Values.manager.enabled (eq .Values.routing.mode "Path") (eq .Values.routing.pathModeSharing "Refuse") -}}
  {{- range $name, $spec := .Values.templates -}}
    {{- /* Another manager may have another mode. */ -}}
    {{- if and $spec (eq (default "" $spec.defaultAccessType) "Public") (eq (default $.Values.manager.name $spec.managerRef) $.Values.manager.name) -}}
      {{- $names = append $names $name -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}
