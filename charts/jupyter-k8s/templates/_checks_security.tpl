{{/* Values with which Pod Security of the release's namespace would refuse pods, one line per problem. Without them the Deployments would be
     written, and no pod would come. The standards are those of Kubernetes: docs/concepts/security/pod-security-standards. */}}
{{- define "jk8s.securityProblems" -}}
{{- if include "jk8s.rendersNamespaced" . -}}
{{- $root := . -}}
{{- $namespace := include "jk8s.lookup" (list "v1" "Namespace" "" .Release.Namespace) | fromJson -}}
{{- $level := get (default dict (default dict $namespace.metadata).labels) "pod-security.kubernetes.io/enforce" -}}
{{- $lines := list -}}
{{- range $component := ternary (splitList " " (include "jk8s.componentsAndJobs" .)) list (has $level (list "baseline" "restricted")) -}}
  {{- $pod := include "jk8s.podValues" (list $root $component) | fromJson -}}
  {{- $contexts := dict "podSecurityContext" (include "jk8s.over" (list (include "jk8s.podSecurity" $component | fromYaml) $pod.podSecurityContext) | fromJson) "containerSecurityContext" (include "jk8s.over" (list (include "jk8s.containerSecurity" $root | fromYaml) $pod.containerSecurityContext) | fromJson) -}}
  {{- $faults := include "jk8s.commonFaults" (list $level $contexts) | fromJsonArray -}}
  {{- $faults = concat $faults (include "jk8s.podFaults" $contexts.podSecurityContext | fromJsonArray) -}}
  {{- $faults = concat $faults (include "jk8s.containerFaults" (list $level $contexts.containerSecurityContext) | fromJsonArray) -}}
  {{- if eq $level "restricted" }}{{ $faults = concat $faults (include "jk8s.rootFaults" $contexts | fromJsonArray) }}{{ end -}}
  {{- $faults = concat $faults (include "jk8s.volumeFaults" (list $level $pod.extraVolumes) | fromJsonArray) -}}
  {{- range $faults -}}
    {{- /* A list replaces that of all components. */ -}}
    {{- $path := printf "%s%s" .key .field | splitList "[" | first -}}
    {{- $at := include "jk8s.sets" (list (get $root.Values $component) $path) | eq "true" | ternary $component "pods" -}}
    {{- $lines = append $lines (printf "%s.%s%s: %s is not allowed by Pod Security %s, which the namespace %q enforces: %s, or change the label pod-security.kubernetes.io/enforce of that namespace" $at .key .field (toJson .value) $level $root.Release.Namespace .cure) -}}
  {{- end -}}
{{- end -}}
{{- range uniq $lines }}
  - {{ . }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* "true" where a map has the field of this path, also without a value: (list map "a.b") */}}
{{- define "jk8s.sets" -}}
{{- $at := index . 0 -}}
{{- $sets := true -}}
{{- range splitList "." (index . 1) -}}
  {{- $around := kindIs "map" $at | ternary $at dict -}}
  {{- $sets = and $sets (hasKey $around .) -}}
  {{- $at = get $around . -}}
{{- end -}}
{{- if $sets }}true{{ end -}}
{{- end }}

{{/* Faults of fields that pods and containers have, as JSON: (list level contexts), with the contexts by their keys. */}}
{{- define "jk8s.commonFaults" -}}
{{- $level := index . 0 -}}
{{- $faults := list -}}
{{- range $key, $context := index . 1 -}}
  {{- range $profile := list "seccompProfile" "appArmorProfile" -}}
    {{- $type := (default dict (get $context $profile)).type -}}
    {{- if and $type (not (has $type (list "RuntimeDefault" "Localhost"))) -}}
      {{- $faults = append $faults (dict "key" $key "field" (printf ".%s.type" $profile) "value" $type "cure" "write RuntimeDefault") -}}
    {{- end -}}
  {{- end -}}
  {{- $linux := default dict $context.seLinuxOptions -}}
  {{- if and $linux.type (not (has $linux.type (list "container_t" "container_init_t" "container_kvm_t" "container_engine_t"))) -}}
    {{- $faults = append $faults (dict "key" $key "field" ".seLinuxOptions.type" "value" $linux.type "cure" "write container_t") -}}
  {{- end -}}
  {{- range $field := list "user" "role" -}}
    {{- with get $linux $field -}}
      {{- $faults = append $faults (dict "key" $key "field" (printf ".seLinuxOptions.%s" $field) "value" . "cure" "leave it out") -}}
    {{- end -}}
  {{- end -}}
  {{- if (default dict $context.windowsOptions).hostProcess -}}
    {{- $faults = append $faults (dict "key" $key "field" ".windowsOptions.hostProcess" "value" true "cure" "leave it out") -}}
  {{- end -}}
  {{- if and (eq $level "restricted") (eq (toJson $context.runAsUser) "0") -}}
    {{- $faults = append $faults (dict "key" $key "field" ".runAsUser" "value" 0 "cure" "choose another user than root") -}}
  {{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end }}

{{/* Faults of a pod's context alone, as JSON. */}}
{{- define "jk8s.podFaults" -}}
{{- $safe := list "kernel.shm_rmid_forced" "net.ipv4.ip_local_port_range" "net.ipv4.ip_local_reserved_ports" "net.ipv4.ip_unprivileged_port_start" "net.ipv4.ping_group_range" "net.ipv4.tcp_fin_timeout" "net.ipv4.tcp_keepalive_intvl" "net.ipv4.tcp_keepalive_probes" "net.ipv4.tcp_keepalive_time" "net.ipv4.tcp_rmem" "net.ipv4.tcp_syncookies" "net.ipv4.tcp_wmem" -}}
{{- $faults := list -}}
{{- range $index, $one := .sysctls -}}
  {{- if not (has $one.name $safe) -}}
    {{- $faults = append $faults (dict "key" "podSecurityContext" "field" (printf ".sysctls[%d].name" $index) "value" $one.name "cure" "name only sysctls that concern the pod alone") -}}
  {{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end }}

{{/* Faults of a container's context alone, as JSON: (list level context) */}}
{{- define "jk8s.containerFaults" -}}
{{- $restricted := eq (index . 0) "restricted" -}}
{{- $context := index . 1 -}}
{{- $faults := list -}}
{{- $key := "containerSecurityContext" -}}
{{- if $context.privileged -}}
  {{- $faults = append $faults (dict "key" $key "field" ".privileged" "value" true "cure" "leave it out") -}}
{{- end -}}
{{- if not (has (default "Default" $context.procMount) (list "Default")) -}}
  {{- $faults = append $faults (dict "key" $key "field" ".procMount" "value" $context.procMount "cure" "leave it out") -}}
{{- end -}}
{{- if and $restricted (ne (toJson $context.allowPrivilegeEscalation) "false") -}}
  {{- $faults = append $faults (dict "key" $key "field" ".allowPrivilegeEscalation" "value" $context.allowPrivilegeEscalation "cure" "leave it false") -}}
{{- end -}}
{{- $addable := $restricted | ternary (list "NET_BIND_SERVICE") (list "AUDIT_WRITE" "CHOWN" "DAC_OVERRIDE" "FOWNER" "FSETID" "KILL" "MKNOD" "NET_BIND_SERVICE" "SETFCAP" "SETGID" "SETPCAP" "SETUID" "SYS_CHROOT") -}}
{{- $capabilities := default dict $context.capabilities -}}
{{- range $index, $name := $capabilities.add -}}
  {{- if not (has $name $addable) -}}
    {{- $faults = append $faults (dict "key" $key "field" (printf ".capabilities.add[%d]" $index) "value" $name "cure" (printf "add only %s" (join ", " $addable))) -}}
  {{- end -}}
{{- end -}}
{{- if and $restricted (not (has "ALL" (default list $capabilities.drop))) -}}
  {{- $faults = append $faults (dict "key" $key "field" ".capabilities.drop" "value" $capabilities.drop "cure" "drop ALL") -}}
{{- end -}}
{{- toJson $faults -}}
{{- end }}

{{/* What the level restricted demands of pod or container, as JSON: a user that is not root, and a seccomp profile. */}}
{{- define "jk8s.rootFaults" -}}
{{- $pod := .podSecurityContext -}}
{{- $container := .containerSecurityContext -}}
{{- $faults := list -}}
{{- range $key, $context := . -}}
  {{- if eq (toJson $context.runAsNonRoot) "false" -}}
    {{- $faults = append $faults (dict "key" $key "field" ".runAsNonRoot" "value" false "cure" "set it to true") -}}
  {{- end -}}
{{- end -}}
{{- if and (not $faults) (not $pod.runAsNonRoot) (not $container.runAsNonRoot) -}}
  {{- $faults = append $faults (dict "key" "podSecurityContext" "field" ".runAsNonRoot" "value" $pod.runAsNonRoot "cure" "set it to true") -}}
{{- end -}}
{{- if not (or (default dict $pod.seccompProfile).type (default dict $container.seccompProfile).type) -}}
  {{- $faults = append $faults (dict "key" "podSecurityContext" "field" ".seccompProfile" "value" $pod.seccompProfile "cure" "set its type to RuntimeDefault") -}}
{{- end -}}
{{- toJson $faults -}}
{{- end }}

{{/* Volumes of kinds that the level refuses, as JSON: (list level volumes) */}}
{{- define "jk8s.volumeFaults" -}}
{{- $level := index . 0 -}}
{{- $allowed := list "name" "configMap" "csi" "downwardAPI" "emptyDir" "ephemeral" "persistentVolumeClaim" "projected" "secret" -}}
{{- $faults := list -}}
{{- range $index, $volume := index . 1 -}}
  {{- range $kind, $of := $volume -}}
    {{- if or (eq $kind "hostPath") (and (eq $level "restricted") (not (has $kind $allowed))) -}}
      {{- $faults = append $faults (dict "key" "extraVolumes" "field" (printf "[%d].%s" $index $kind) "value" $of "cure" "use a volume of another kind, such as persistentVolumeClaim") -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end }}
