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

{{/* Begin of the policy of a part that talks to the API server: what it may connect to is known where the API server's addresses are. */}}
{{- define "jk8s.policyTypes" -}}
{{- if .Values.networkPolicy.apiServer.networks }}
policyTypes: [Ingress, Egress]
{{- else }}
policyTypes: [Ingress]
{{- end }}
{{- end }}

{{/* Egress rules of such a part, without those of its own. */}}
{{- define "jk8s.apiServerEgress" -}}
{{- include "jk8s.dnsEgress" . }}
- to:
    {{- include "jk8s.networks" .Values.networkPolicy.apiServer.networks | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* Egress rule to identity providers that are not the bundled one. */}}
{{- define "jk8s.providersEgress" -}}
{{- with .Values.networkPolicy.identityProviders.networks -}}
- to:
    {{- include "jk8s.networks" . | nindent 4 }}
  ports:
    {{- range $.Values.networkPolicy.identityProviders.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
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
