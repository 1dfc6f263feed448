{{/* The values that say where the certificate of the proxy comes from, as a JSON list. */}}
{{- define "jk8s.certificateSources" -}}
{{- $tls := .Values.proxy.tls -}}
{{- $sources := list -}}
{{- with $tls.secretName }}{{ $sources = append $sources (printf "secretName (%q)" .) }}{{ end -}}
{{- with $tls.certManager.issuerRef.name }}{{ $sources = append $sources (printf "certManager.issuerRef.name (%q)" .) }}{{ end -}}
{{- if $tls.selfSigned }}{{ $sources = append $sources "selfSigned (true)" }}{{ end -}}
{{- toJson $sources -}}
{{- end }}

{{/* The issuer of the certificate as JSON. Without a kind: an Issuer of that name in the namespace of the release, else a ClusterIssuer. */}}
{{- define "jk8s.issuer" -}}
{{- $issuer := .Values.proxy.tls.certManager.issuerRef -}}
{{- $kind := default "" $issuer.kind -}}
{{- if not $kind -}}
  {{- $kind = "ClusterIssuer" -}}
  {{- if and $issuer.name (.Capabilities.APIVersions.Has "cert-manager.io/v1/Issuer") -}}
    {{- if include "jk8s.lookup" (list "cert-manager.io/v1" "Issuer" .Release.Namespace $issuer.name) | fromJson }}{{ $kind = "Issuer" }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- dict "name" $issuer.name "kind" $kind "group" (default "cert-manager.io" $issuer.group) | toJson -}}
{{- end }}

{{/* More than one source of the certificate, or one that this cluster does not have. */}}
{{- define "jk8s.certificateProblems" -}}
{{- $sources := include "jk8s.certificateSources" . | fromJsonArray -}}
{{- if gt (len $sources) 1 }}
  - proxy.tls: {{ join " and " $sources }} exclude each other: keep one of them
{{- end -}}
{{- with .Values.proxy.tls.certManager.issuerRef.name -}}
{{- if include "jk8s.lacksKind" (list $ "cert-manager.io/v1" "Certificate") }}
  - proxy.tls.certManager.issuerRef.name: {{ quote . }} needs cert-manager, and this cluster has no kind Certificate of cert-manager.io/v1: install cert-manager with its CRDs, or set proxy.tls.secretName or proxy.tls.selfSigned in its place
{{- end -}}
{{- end -}}
{{- with .Values.proxy.tls.certManager.issuerRef -}}
{{- if and .name (eq (default "cert-manager.io" .group) "cert-manager.io") (not (has (default "" .kind) (list "" "Issuer" "ClusterIssuer"))) }}
  - proxy.tls.certManager.issuerRef.kind: {{ default "" .kind | quote }} is no kind of issuers of the group cert-manager.io: write Issuer or ClusterIssuer, or set proxy.tls.certManager.issuerRef.group to the group of that kind
{{- else if and .name (not .kind) (ne (default "cert-manager.io" .group) "cert-manager.io") }}
  - proxy.tls.certManager.issuerRef.kind: is empty, and only issuers of the group cert-manager.io are looked for: write the kind of {{ quote .name }} in the group {{ .group }}
{{- end -}}
{{- end -}}
{{- end }}
