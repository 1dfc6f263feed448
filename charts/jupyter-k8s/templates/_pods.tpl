{{/* Here also ServiceAccounts and disruption budgets of all components.
     A component's Deployment: (list . "gateway"). "jk8s.<component>.pod" gives what is its own: `deployment`, `annotations`, `spec` (of the
     pod) and `container`. The values `pods` and `<component>` give the rest. */}}
{{- define "jk8s.deployment" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := get $root.Values $component -}}
{{- $pod := include "jk8s.podValues" . | fromJson -}}
{{- $own := include (printf "jk8s.%s.pod" $component) $root | fromYaml -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "jk8s.metadata" (slice . 0 2) | nindent 2 }}
spec:
  replicas: {{ include "jk8s.replicas" . }}
  revisionHistoryLimit: {{ $pod.revisionHistoryLimit | int }}
  {{- $rollout := default dict $own.deployment }}
  {{- if and $pod.strategy (not $rollout.strategy) }}{{ $_ := set $rollout "strategy" $pod.strategy }}{{ end }}
  {{- with $rollout }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "jk8s.selector" . | nindent 6 }}
  template:
    {{- include "jk8s.podTemplate" (list $root $component $own) | nindent 4 }}
{{- end }}

{{/* Pods of a component: (list . "gateway"). The bundled provider without a database has its data in its one pod. */}}
{{- define "jk8s.replicas" -}}
{{- $values := get (index . 0).Values (index . 1) -}}
{{- if and (eq (index . 1) "identity") (not $values.database.host) }}1{{ else }}{{ $values.replicas | default 1 }}{{ end -}}
{{- end }}

{{/* A pod template: (list . "gateway" own), with what is the component's own as in "jk8s.deployment". `image` names another component whose
     image it runs. */}}
{{- define "jk8s.podTemplate" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $own := index . 2 -}}
{{- $values := get $root.Values $component -}}
{{- $pod := include "jk8s.podValues" . | fromJson -}}
{{- with $own.Error }}{{ fail (printf "the pods of %s cannot be rendered: %s" $component .) }}{{ end -}}
metadata:
  labels:
    {{- include "jk8s.over" (list (include "jk8s.podLabels" . | fromYaml) $pod.labels) | fromJson | toYaml | nindent 4 }}
  {{- with include "jk8s.over" (list (default dict $own.annotations) $pod.annotations) | fromJson }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "jk8s.accountName" . }}
  enableServiceLinks: false
  {{- with include "jk8s.priorityClass" . }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with include "jk8s.pullSecrets" $root | fromYamlArray }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "hostAliases" }}
  {{- with get $pod $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  securityContext:
    {{- include "jk8s.without" (list (include "jk8s.podSecurity" $component | fromYaml) $pod.podSecurityContext) | nindent 4 }}
  {{- with $pod.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $mine := dict "labelSelector" (dict "matchLabels" (include "jk8s.selector" $ | fromYaml)) "matchLabelKeys" (list "pod-template-hash") }}
    {{- range . }}
    - {{- toYaml (hasKey . "labelSelector" | ternary . (merge dict . $mine)) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- toYaml (omit $own.spec "volumes") | nindent 2 }}
  containers:
    - name: {{ $component }}
      image: {{ include "jk8s.image" (list $root (default $component $own.image)) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- /* A command of the image takes no flags of a server: those of `pods` are not for it. */ -}}
        {{- $from := has $component (list "crds" "uninstall" "tests") | ternary $values $pod }}
        {{- concat $own.container.args (default list $from.extraArgs) | toYaml | nindent 8 }}
      env:
        {{- concat $own.container.env (default list $pod.extraEnv) | toYaml | nindent 8 }}
      {{- with omit $own.container "args" "env" "volumeMounts" }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- include "jk8s.without" (list (include "jk8s.containerSecurity" $root | fromYaml) $pod.containerSecurityContext) | nindent 8 }}
      {{- with concat $own.container.volumeMounts (default list $pod.extraVolumeMounts) }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with concat $own.spec.volumes (default list $pod.extraVolumes) }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A Job that Helm runs, once: (list . "crds" hook). `hook` are its annotations. */}}
{{- define "jk8s.job" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $own := include (printf "jk8s.%s.pod" $component) $root | fromYaml -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "jk8s.metadata" (slice . 0 2) | nindent 2 }}
  annotations:
    {{- toYaml (index . 2) | nindent 4 }}
spec:
  backoffLimit: 2
  activeDeadlineSeconds: 300
  template:
    {{- include "jk8s.podTemplate" (list $root $component $own) | nindent 4 }}
{{- end }}

{{/* Keys that `pods` has for all components, and each component for itself. */}}
{{- define "jk8s.podKeys" -}}
nodeSelector tolerations affinity topologySpreadConstraints labels annotations extraEnv extraArgs extraVolumes extraVolumeMounts hostAliases priorityClassName revisionHistoryLimit strategy podSecurityContext containerSecurityContext serviceAccount
{{- end }}

{{/* What holds for a component's pods, as JSON: (list . "gateway"). Its own value replaces that of `pods`; maps are merged, but a strategy is
     one thing. */}}
{{- define "jk8s.podValues" -}}
{{- $root := index . 0 -}}
{{- $own := get $root.Values (index . 1) -}}
{{- $values := dict -}}
{{- range $key := splitList " " (include "jk8s.podKeys" $root) -}}
  {{- $value := get $root.Values.pods $key -}}
  {{- if hasKey $own $key -}}
    {{- $mine := get $own $key -}}
    {{- if and (kindIs "map" $value) (kindIs "map" $mine) (ne $key "strategy") -}}
      {{- $mine = include "jk8s.over" (list $value $mine) | fromJson -}}
    {{- end -}}
    {{- $value = $mine -}}
  {{- end -}}
  {{- $_ := set $values $key $value -}}
{{- end -}}
{{- toJson $values -}}
{{- end }}

{{/* A map with another over it, as JSON; nulls of the other stay: (list under over) */}}
{{- define "jk8s.over" -}}
{{- $merged := deepCopy (default dict (index . 0)) -}}
{{- range $key, $value := default dict (index . 1) -}}
  {{- if and (kindIs "map" $value) (kindIs "map" (get $merged $key)) -}}
    {{- $value = include "jk8s.over" (list (get $merged $key) $value) | fromJson -}}
  {{- end -}}
  {{- $_ := set $merged $key $value -}}
{{- end -}}
{{- toJson $merged -}}
{{- end }}

{{/* The same as YAML, where a null takes the key out. */}}
{{- define "jk8s.without" -}}
{{- $kept := dict -}}
{{- range $key, $value := include "jk8s.over" . | fromJson -}}
  {{- if not (kindIs "invalid" $value) -}}{{- $_ := set $kept $key $value -}}{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end }}

{{/* Components whose pods this release has. */}}
{{- define "jk8s.components" -}}
operator
{{- if not (include "jk8s.inOneNamespace" .) }} webhook{{ end -}}
{{- if .Values.proxy.enabled }} proxy{{ end -}}
{{- if .Values.gateway.enabled }} gateway{{ end -}}
{{- if .Values.portal.enabled }} portal{{ end -}}
{{- if .Values.identity.enabled }} identity{{ end -}}
{{- end }}

{{/* The same, and the Jobs and the Pod that Helm runs. */}}
{{- define "jk8s.componentsAndJobs" -}}
{{ include "jk8s.components" . }} tests{{ if and .Values.crds.upgrade (not (include "jk8s.inOneNamespace" .)) }} crds{{ end }}{{ if .Values.uninstall.prepare }} uninstall{{ end }}
{{- end }}

{{/* The PriorityClass of a component's pods, or nothing: (list . "gateway") */}}
{{- define "jk8s.priorityClass" -}}
{{- $root := index . 0 -}}
{{- $name := (include "jk8s.podValues" . | fromJson).priorityClassName -}}
{{- $own := include "jk8s.ownPriorityClass" $root -}}
{{- /* This Job runs before the chart's own class is made: at an installation, and at an upgrade from a release without it. */ -}}
{{- if and $own (eq (index . 1) "crds") (not (lookup "scheduling.k8s.io/v1" "PriorityClass" "" $own)) }}{{ $own = "" }}{{ end -}}
{{- $name = $name | default $own -}}
{{- if ne (toString $name) "none" }}{{ $name }}{{ end -}}
{{- end }}

{{/* The PriorityClass that this chart makes, if a component uses it. */}}
{{- define "jk8s.ownPriorityClass" -}}
{{- $own := include "jk8s.name" (list . "system") -}}
{{- $used := false -}}
{{- range splitList " " (include "jk8s.components" .) -}}
  {{- if not (include "jk8s.podValues" (list $ .) | fromJson).priorityClassName }}{{ $used = true }}{{ end -}}
{{- end -}}
{{- if and $used (not (include "jk8s.inOneNamespace" .)) }}{{ $own }}{{ end -}}
{{- end }}

{{/* Names of Secrets with registry credentials, as a YAML list. Entries of both values are names, or objects with a name. */}}
{{- define "jk8s.pullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.image.pullSecrets (default list (default dict .Values.global).imagePullSecrets) -}}
  {{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{- toYaml (uniq $names) -}}
{{- end }}

{{/* Keycloak's image belongs to user 1000; the others run as an unnamed user. */}}
{{- define "jk8s.userId" -}}
{{- if eq . "identity" }}1000{{ else }}65532{{ end -}}
{{- end }}

{{- define "jk8s.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ include "jk8s.userId" . }}
runAsGroup: {{ include "jk8s.userId" . }}
fsGroup: {{ include "jk8s.userId" . }}
seccompProfile:
  type: RuntimeDefault
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

{{/* Arguments of a server, in this order: (list (list "flag" value) ...). A list is an argument for each entry, and an empty value is none. */}}
{{- define "jk8s.flags" -}}
{{- range $flag := . }}
{{- range kindIs "slice" (last $flag) | ternary (last $flag) (list (last $flag)) }}
{{- if . }}
- {{ printf "--%s=%s" (first $flag) . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment variables of every server of ours. */}}
{{- define "jk8s.selfEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: RELEASE_NAME
  value: {{ .Release.Name }}
{{- if ne .Values.logLevel "info" }}
- name: LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end }}
{{- end }}

{{/* ServiceAccount, unless another is given: (list . "gateway"), for a hook with its annotations. Pods that need its token ask for it themselves. */}}
{{- define "jk8s.serviceAccount" -}}
{{- $account := (include "jk8s.podValues" . | fromJson).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "jk8s.accountName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
  {{- with include "jk8s.over" (list $account.annotations (gt (len .) 2 | ternary (last .) dict)) | fromJson }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/* Name of a component's ServiceAccount: (list . "gateway") */}}
{{- define "jk8s.accountName" -}}
{{- (include "jk8s.podValues" . | fromJson).serviceAccount.name | default (include "jk8s.name" .) -}}
{{- end }}

{{/* PodDisruptionBudget, where there is more than one replica: (list . "gateway" replicas) */}}
{{- define "jk8s.disruptionBudget" -}}
{{- if gt (int (index . 2)) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "jk8s.metadata" (slice . 0 2) | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "jk8s.selector" . | nindent 6 }}
{{- end }}
{{- end }}
