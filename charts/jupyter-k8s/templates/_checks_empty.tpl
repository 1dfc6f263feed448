{{/* Keys without a value (null) that the templates need, one line per key. Elsewhere null is an empty value, or takes a key out. */}}
{{- define "jk8s.emptyKeys" -}}
{{- range regexSplit "\\s+" (include "jk8s.neededKeys" . | trim) -1 -}}
  {{- $path := splitList "." . -}}
  {{- $around := merge (dict) $.Values -}}
  {{- range initial $path -}}
    {{- /* A section that is empty itself has its own line. */ -}}
    {{- $around = kindIs "map" $around | ternary (pluck . (default dict $around) | first) nil -}}
  {{- end -}}
  {{- if and (kindIs "map" $around) (kindIs "invalid" (pluck (last $path) $around | first)) }}
  - {{ . }}: has no value (null): leave the key out for its default, or upgrade with --reset-then-reuse-values in place of --reuse-values
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "jk8s.neededKeys" -}}
enabled scope objects rbac rbac.create proxy.enabled gateway.enabled portal portal.enabled portal.impersonation manager.enabled
image image.pullSecrets images pods pods.extraEnv pods.extraArgs pods.extraVolumes pods.extraVolumeMounts pods.serviceAccount logLevel
routing oidc
proxy proxy.tls proxy.tls.certManager proxy.tls.certManager.issuerRef proxy.service proxy.proxyProtocol proxy.resources
proxy.ingressRouteTCP proxy.tlsRoute proxy.ingress proxy.ingress.tls proxy.httpRoute proxy.front
gateway gateway.stripHeaders gateway.bearer gateway.session gateway.pages gateway.pages.logoConfigMap gateway.limits gateway.audit gateway.httpsProxy
operator operator.forbiddenNamespaces webhook settings settings.imageAliases settings.podSecurityContext tests crds uninstall
manager manager.authorization manager.networkPolicy
identity identity.enabled identity.database identity.database.networks identity.brokers
monitoring monitoring.podMonitor monitoring.prometheusRule monitoring.grafanaDashboard
networkPolicy networkPolicy.enabled networkPolicy.apiServer networkPolicy.apiServer.ports
networkPolicy.identityProviders networkPolicy.identityProviders.ports
{{- end }}
