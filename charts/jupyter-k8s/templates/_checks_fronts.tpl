{{/* Fronts that cannot reach the proxy, or that would be trusted too much; one line per problem. */}}
{{- define "jk8s.frontProblems" -}}
{{- $proxy := .Values.proxy -}}
{{- $fronts := include "jk8s.fronts" . | fromYamlArray -}}
{{- if gt (len $fronts) 1 }}
  - proxy: {{ join ", " $fronts }} are enabled at once, and one front leads all hosts here: leave one of them enabled
{{- end -}}
{{- if and $fronts (not $proxy.enabled) }}
  - proxy.{{ first $fronts }}.enabled: a front leads to the proxy, and proxy.enabled is false: set proxy.enabled to true, or leave the front out
{{- end -}}
{{- range list "tlsRoute" "httpRoute" -}}
{{- $front := get $proxy . -}}
{{- if and $front.enabled (not $front.parentRefs) }}
  - proxy.{{ . }}.parentRefs: empty, and a route belongs to a Gateway: name one, such as [{name: edge, namespace: infra}]
{{- end -}}
{{- end -}}
{{- with include "jk8s.frontWithTls" . -}}
{{- if not $proxy.trustedProxies }}
  - proxy.trustedProxies: empty, and proxy.{{ . }} ends TLS, so only its headers say that a request was HTTPS, and from which client: name the networks of its pods or nodes and nothing else, such as [10.42.3.0/28]
{{- end -}}
{{- if not $proxy.front.from }}
  - proxy.front.from: empty, so no pod could reach the port without TLS that proxy.{{ . }} leads to: name the front's pods, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
{{- end -}}
{{- if not $.Values.networkPolicy.enabled }}
  - networkPolicy.enabled: false, and the port without TLS that proxy.{{ . }} leads to would be open to every pod of the cluster: set it to true, or let a front pass TLS through (proxy.ingressRouteTCP, proxy.tlsRoute)
{{- end -}}
{{- else -}}
{{- if $proxy.front.from }}
  - proxy.front.from: has no effect without a front that ends TLS: enable proxy.ingress or proxy.httpRoute, or leave it empty
{{- end -}}
{{- end -}}
{{- range $index, $peer := $proxy.front.from -}}
{{- $names := dict -}}
{{- range $key := list "namespaceSelector" "podSelector" -}}
{{- $selector := default dict (get $peer $key) -}}
{{- if or $selector.matchLabels $selector.matchExpressions }}{{ $_ := set $names $key true }}{{ end -}}
{{- end -}}
{{- if and (hasKey $peer "namespaceSelector") (not $names.namespaceSelector) }}
  - proxy.front.from[{{ $index }}]: {{ toJson $peer }} selects {{ hasKey $names "podSelector" | ternary "these pods of every namespace, and any user can set these labels on a pod" "all pods of the cluster" }}: name labels of the front's namespace (matchLabels or matchExpressions)
{{- else if not (or $peer.ipBlock $names.namespaceSelector $names.podSelector) }}
  - proxy.front.from[{{ $index }}]: {{ toJson $peer }} selects all pods of this release's namespace: name labels of the front's pods or namespace (matchLabels or matchExpressions)
{{- else if and $peer.ipBlock (include "jk8s.tooWide" (toString $peer.ipBlock.cidr)) }}
  - proxy.front.from[{{ $index }}].ipBlock.cidr: {{ quote $peer.ipBlock.cidr }} is too wide, so others than the front would reach the port without TLS: name only the networks of the front (IPv4: /8 or longer, not as ::ffff:…; IPv6: /16 or longer)
{{- else if and $peer.ipBlock (not (contains "/" (default "" $peer.ipBlock.cidr))) }}
  - proxy.front.from[{{ $index }}].ipBlock.cidr: {{ default "" $peer.ipBlock.cidr | quote }} is no network: write one such as 10.1.2.0/28, and /32 behind a single address
{{- end -}}
{{- end -}}
{{- range $key, $kind := dict "ingressRouteTCP" "IngressRouteTCP" "tlsRoute" "TLSRoute" "httpRoute" "HTTPRoute" -}}
{{- $version := include "jk8s.frontVersion" (list $ $key) -}}
{{- if and (has $key $fronts) (include "jk8s.lacksKind" (list $ $version $kind)) }}
  - proxy.{{ $key }}.enabled: this cluster has no kind {{ $kind }} of {{ $version }}: install {{ ternary "Traefik" "the Gateway API" (eq $key "ingressRouteTCP") }} with its CRDs, or choose another front
{{- end -}}
{{- end -}}
{{- end }}
