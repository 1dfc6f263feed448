{{/* Fronts that are switched on, as keys of `proxy`; a YAML list. */}}
{{- define "jk8s.fronts" -}}
{{- $on := list -}}
{{- range list "ingressRouteTCP" "tlsRoute" "ingress" "httpRoute" -}}
  {{- if (get $.Values.proxy .).enabled }}{{ $on = append $on . }}{{ end -}}
{{- end -}}
{{- toYaml $on -}}
{{- end }}

{{/* The front that ends TLS, as a key of `proxy`, or nothing. */}}
{{- define "jk8s.frontWithTls" -}}
{{- $ends := "" -}}
{{- range list "ingress" "httpRoute" -}}
  {{- if (get $.Values.proxy .).enabled }}{{ $ends = . }}{{ end -}}
{{- end -}}
{{- $ends -}}
{{- end }}

{{/* What hosts lead to: a front, or the proxy's Service. */}}
{{- define "jk8s.entrance" -}}
{{- $name := include "jk8s.name" (list . "proxy") -}}
{{- with include "jk8s.fronts" . | fromYamlArray -}}
the front of {{ get (dict "ingressRouteTCP" "IngressRouteTCP" "tlsRoute" "TLSRoute" "ingress" "Ingress" "httpRoute" "HTTPRoute") (first .) }} {{ $name }}
{{- else -}}
the Service {{ $name }}
{{- end -}}
{{- end }}

{{/* Type of the proxy's Service. */}}
{{- define "jk8s.serviceType" -}}
{{- .Values.proxy.service.type | default (include "jk8s.fronts" . | fromYamlArray | empty | ternary "LoadBalancer" "ClusterIP") -}}
{{- end }}

{{/* Name of the Service for a front that ends TLS. */}}
{{- define "jk8s.plainService" -}}
{{- include "jk8s.name" (list . "proxy") }}-plain
{{- end }}

{{/* Version of a kind of the Gateway API that the cluster has, the newest one where that is unknown: (list . "TLSRoute" "v1" "v1alpha3") */}}
{{- define "jk8s.gatewayVersion" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 1 -}}
{{- $found := list -}}
{{- range slice . 2 -}}
  {{- if $root.Capabilities.APIVersions.Has (printf "gateway.networking.k8s.io/%s/%s" . $kind) }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
gateway.networking.k8s.io/{{ first (append $found (index . 2)) }}
{{- end }}

{{/* apiVersion of a front's object: (list . "tlsRoute") */}}
{{- define "jk8s.frontVersion" -}}
{{- $root := index . 0 -}}
{{- if eq (index . 1) "tlsRoute" -}}
{{ include "jk8s.gatewayVersion" (list $root "TLSRoute" "v1" "v1alpha3" "v1alpha2") }}
{{- else -}}
{{ get (dict "ingressRouteTCP" "traefik.io/v1alpha1" "ingress" "networking.k8s.io/v1" "httpRoute" "gateway.networking.k8s.io/v1") (index . 1) }}
{{- end -}}
{{- end }}

{{/* Metadata of a front's object: (list . "tlsRoute") */}}
{{- define "jk8s.frontMetadata" -}}
{{- $root := index . 0 -}}
name: {{ include "jk8s.name" (list $root "proxy") }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "jk8s.labels" (list $root "proxy") | nindent 2 }}
{{- with (get $root.Values.proxy (index . 1)).annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Rule of Traefik's for TLS connections to the hosts that browsers open. */}}
{{- define "jk8s.serverNames" -}}
{{- $rules := list -}}
{{- range include "jk8s.hosts" . | fromYamlArray -}}
  {{- if hasPrefix "*." . -}}
    {{- $rules = append $rules (printf "HostSNIRegexp(`^[a-z0-9-]{1,63}\\.%s$`)" (trimPrefix "*." . | replace "." "\\.")) -}}
  {{- else -}}
    {{- $rules = append $rules (printf "HostSNI(`%s`)" .) -}}
  {{- end -}}
{{- end -}}
{{- join " || " $rules -}}
{{- end }}

{{/* Middlewares for requests that came through a trusted proxy. */}}
{{- define "jk8s.frontMiddlewares" -}}
# Only the client's address and the end of TLS are taken from a front. Traefik sets the rest itself, because a front may pass on headers of
# a client.
forwarded:
  headers:
    customRequestHeaders:
      X-Forwarded-Proto: https
      X-Forwarded-Host: ""
      X-Forwarded-Method: ""
      X-Forwarded-Prefix: ""
      X-Forwarded-Server: ""
      X-Forwarded-Uri: ""
      X-Real-Ip: ""
{{- if include "jk8s.frontWithTls" . }}
# On the port without TLS: only trusted proxies. Requests that did not reach them by HTTPS are redirected there.
from-front:
  ipAllowList:
    sourceRange:
      {{- range .Values.proxy.trustedProxies }}
      - {{ include "jk8s.cidr" . | quote }}
      {{- end }}
ended-tls:
  redirectScheme:
    scheme: https
    port: {{ .Values.routing.port | int | quote }}
    permanent: false
{{- end }}
{{- end }}
