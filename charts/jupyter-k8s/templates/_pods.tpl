{{/* Fields of every pod spec: (list . "gateway") */}}
{{- define "jk8s.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
serviceAccountName: {{ include "jk8s.name" . }}
enableServiceLinks: false
priorityClassName: {{ include "jk8s.priorityClass" $root }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ include "jk8s.userId" $component }}
  runAsGroup: {{ include "jk8s.userId" $component }}
  fsGroup: {{ include "jk8s.userId" $component }}
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "jk8s.selector" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}

{{/* The PriorityClass of this release's pods. */}}
{{- define "jk8s.priorityClass" -}}
{{- .Values.priorityClassName | default (include "jk8s.name" (list . "system")) -}}
{{- end }}

{{/* Keycloak's image belongs to user 1000; the others run as nobody in particular. */}}
{{- define "jk8s.userId" -}}
{{- if eq . "identity" }}1000{{ else }}65532{{ end -}}
{{- end }}

{{- define "jk8s.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Probes of our own servers, on their plain port. */}}
{{- define "jk8s.probes" -}}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: admin}
  initialDelaySeconds: 5
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
  # A process that answers no probe drains nothing either: it is not given the time for that.
  terminationGracePeriodSeconds: 5
{{- end }}

{{/* What every server of ours is told about itself. */}}
{{- define "jk8s.selfEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: RELEASE_NAME
  value: {{ .Release.Name }}
{{- end }}

{{/* ServiceAccount: (list . "gateway"). Pods that need its token ask for it themselves. */}}
{{- define "jk8s.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "jk8s.name" . }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end }}

{{/* Binds a component's account to the Role or ClusterRole of its name: (list . "gateway" "Role") */}}
{{- define "jk8s.binding" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 2 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ include "jk8s.name" . }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ include "jk8s.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "jk8s.name" . }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}

{{/* PodDisruptionBudget, where there is more than one replica: (list . "gateway" replicas) */}}
{{- define "jk8s.disruptionBudget" -}}
{{- if gt (int (index . 2)) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "jk8s.name" . }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "jk8s.selector" . | nindent 6 }}
{{- end }}
{{- end }}

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
- ipBlock: {cidr: {{ contains "/" . | ternary . (printf "%s/%s" . (contains ":" . | ternary "128" "32")) | quote }}}
{{- end }}
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

{{/* Egress rule to workspaces, wherever they are. */}}
{{- define "jk8s.workspacesEgress" -}}
- to:
    - namespaceSelector: {}
      podSelector:
        matchExpressions:
          - {key: workspaces.jupyter.org/workspace, operator: Exists}
{{- end }}
