{{/* One NetworkPolicy peer: this release's pods of a component: (list . "proxy") */}}
{{- define "jk8s.peer" -}}
podSelector:
  matchLabels:
    {{- include "jk8s.selector" . | nindent 4 }}
{{- end }}

{{/* Ingress rule for the metrics port. */}}
{{- define "jk8s.metricsIngress" -}}
{{- with .Values.networkPolicy.metricsNamespaces }}
- from:
    - namespaceSelector:
        matchExpressions:
          - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  ports:
    - {port: 9090, protocol: TCP}
{{- end }}
{{- end }}

{{/* Egress rule for name resolution: where workspaces resolve names, too. */}}
{{- define "jk8s.dnsEgress" -}}
{{- $dns := default dict .Values.manager.networkPolicy.dns -}}
{{- $usual := list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" "kube-system"))) -}}
- to:
    {{- toYaml (default $usual $dns.to) | nindent 4 }}
  ports:
    {{- range default (list 53) $dns.ports }}
    - {port: {{ int . }}, protocol: UDP}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* One NetworkPolicy peer for each of these networks or addresses. */}}
{{- define "jk8s.networks" -}}
{{- range . }}
- ipBlock: {cidr: {{ include "jk8s.cidr" . | quote }}}
{{- end }}
{{- end }}

{{/* A network, also of a single address. */}}
{{- define "jk8s.cidr" -}}
{{ contains "/" . | ternary . (printf "%s/%s" . (contains ":" . | ternary "128" "32")) }}
{{- end }}

{{/* Egress rules of a part that talks to the API server: names, and the API server. Without its networks, any address on its ports; no
     network is written then, as some CNIs never match pods and nodes by one. */}}
{{- define "jk8s.apiServerEgress" -}}
{{- include "jk8s.dnsEgress" . }}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.networks }}
  to:
    {{- include "jk8s.networks" . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Egress rules to identity providers that are not the bundled one. */}}
{{- define "jk8s.providersEgress" -}}
{{- $addresses := list -}}
{{- if not .Values.identity.enabled -}}
  {{- $addresses = append $addresses (dict "url" .Values.oidc.issuerUrl "dialled" .Values.oidc.connectTo) -}}
{{- end -}}
{{- range .Values.oidc.others }}{{ $addresses = append $addresses (dict "url" .issuerUrl "dialled" (default "" .connectTo)) }}{{ end -}}
{{- with .Values.gateway.httpsProxy.url }}{{ $addresses = append $addresses (dict "url" . "dialled" "") }}{{ end -}}
{{- include "jk8s.egressTo" (list . $addresses) -}}
{{- end }}

{{/* Egress rules of the bundled provider to those whose users sign in through it. */}}
{{- define "jk8s.brokersEgress" -}}
{{- $addresses := list -}}
{{- range .Values.identity.brokers -}}
  {{- range list .tokenUrl .jwksUrl }}{{ $addresses = append $addresses (dict "url" (default "" .) "dialled" "") }}{{ end -}}
{{- end -}}
{{- if $addresses }}{{ include "jk8s.egressTo" (list . $addresses) }}{{ end -}}
{{- end }}

{{/* Egress rule of the bundled provider to its database. */}}
{{- define "jk8s.databaseEgress" -}}
{{- $database := .Values.identity.database -}}
{{- with include "jk8s.namespaceOf" $database.host }}
# A Service of this cluster. Its pods may have another port than it, and policies see that of pods: no port is named.
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ . }}}
{{- else }}
{{- with $database.networks }}
- to:
    {{- include "jk8s.networks" . | nindent 4 }}
  ports:
    - {port: {{ int $database.port }}, protocol: TCP}
{{- end }}
{{- end }}
{{- end }}

{{/* The namespace of a host that is a Service of this cluster, or nothing. */}}
{{- define "jk8s.namespaceOf" -}}
{{- if regexMatch "^[^.]+\\.[^.]+\\.svc(\\..+)?$" . }}{{ index (splitList "." .) 1 }}{{ end -}}
{{- end }}

{{/* Egress rules to identity providers: (list . addresses), each with `url` and `dialled`. */}}
{{- define "jk8s.egressTo" -}}
{{- $providers := (index . 0).Values.networkPolicy.identityProviders -}}
{{- $ports := $providers.ports -}}
{{- $namespaces := list -}}
{{- range index . 1 -}}
  {{- $authority := .dialled | default (get (urlParse .url) "host") -}}
  {{- with regexFind ":[0-9]+$" $authority }}{{ $ports = append $ports (trimPrefix ":" . | int) }}{{ end -}}
  {{- $host := regexReplaceAll ":[0-9]+$" $authority "" -}}
  {{- with include "jk8s.namespaceOf" $host }}{{ $namespaces = append $namespaces . }}{{ end -}}
{{- end -}}
{{- with $providers.networks }}
- to:
    {{- include "jk8s.networks" . | nindent 4 }}
  ports:
    {{- range $ports | uniq }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- with $namespaces | uniq }}
# Providers behind a Service of this cluster. Its pods may have another port than it, and policies see that of pods: no port is named.
- to:
    - namespaceSelector:
        matchExpressions:
          - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end }}

{{/* Egress rule to workspaces, wherever they are. */}}
{{- define "jk8s.workspacesEgress" -}}
- to:
    - podSelector:
        matchExpressions:
          - {key: workspaces.jupyter.org/workspace, operator: Exists}
      {{- if not (include "jk8s.inOneNamespace" .) }}
      namespaceSelector: {}
      {{- end }}
{{- end }}

{{/* Begin of a component's NetworkPolicy: nothing is allowed its pods, in either direction, but what follows: (list . "gateway"), for a hook
     with its annotations. */}}
{{- define "jk8s.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "jk8s.metadata" (slice . 0 2) | nindent 2 }}
  {{- if gt (len .) 2 }}
  annotations:
    {{- toYaml (index . 2) | nindent 4 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- include "jk8s.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}
