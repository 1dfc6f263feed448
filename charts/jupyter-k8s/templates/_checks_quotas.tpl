{{/* Names in a ResourceQuota that count nothing or that the API server refuses, one line per problem: (list "userNamespaces[0]" quota) */}}
{{- define "jk8s.quotaProblems" -}}
{{- $at := printf "%s.quota" (index . 0) -}}
{{- $quota := default dict (index . 1) -}}
{{- $plain := list "workspaces" "cpu" "memory" "ephemeral-storage" "requests.cpu" "requests.memory" "requests.ephemeral-storage" "requests.storage"
    "limits.cpu" "limits.memory" "limits.ephemeral-storage" "pods" "services" "services.loadbalancers" "services.nodeports" "secrets" "configmaps"
    "persistentvolumeclaims" "replicationcontrollers" "resourcequotas" -}}
{{- $core := list "pods" "services" "secrets" "configmaps" "persistentvolumeclaims" "replicationcontrollers" "resourcequotas" "serviceaccounts"
    "endpoints" "events" "limitranges" "podtemplates" -}}
{{- $meant := dict "workspace" "workspaces" "count/workspaces" "workspaces" "count/workspaceshares" "count/workspaceshares.workspaces.jupyter.org"
    "cpus" "requests.cpu or limits.cpu" "mem" "requests.memory or limits.memory" "storage" "requests.storage" "disk" "requests.storage"
    "disks" "persistentvolumeclaims" "gpu" "requests.nvidia.com/gpu" "gpus" "requests.nvidia.com/gpu" "pvc" "persistentvolumeclaims"
    "pvcs" "persistentvolumeclaims" "pod" "pods" "requests.cpus" "requests.cpu" "limits.cpus" "limits.cpu" "limits.storage" "requests.storage" -}}
{{- range $key, $_ := $quota -}}
  {{- $kind := trimPrefix "count/" $key -}}
  {{- $problem := "" -}}
  {{- if and (hasPrefix "count/" $key) (hasSuffix "jupyter.org" $key) -}}
    {{- if not (regexMatch "^workspace(s|shares|executionprofiles)\\.workspaces\\.jupyter\\.org$" $kind) -}}
      {{- $problem = "counts nothing, as no kind has this name: write workspaces for the number of workspaces, or count/<plural>.workspaces.jupyter.org" -}}
    {{- end -}}
  {{- else if hasKey $meant $key -}}
    {{- $problem = printf "is no name of a quota: write %s" (get $meant $key) -}}
  {{- else if hasPrefix "count/" $key -}}
    {{- if not (or (has $kind $core) (contains "." $kind)) -}}
      {{- $problem = "counts nothing, as no kind of the core group has this name: add the group, such as count/deployments.apps" -}}
    {{- end -}}
  {{- else if contains "/" $key -}}
    {{- if not (or (hasPrefix "requests." $key) (regexMatch "\\.(storageclass\\.storage|volumeattributesclass\\.storage|deviceclass\\.resource)\\.k8s\\.io/" $key)) -}}
      {{- $problem = printf "counts nothing, as quotas of such resources are about requests alone: write requests.%s" (trimPrefix "limits." $key) -}}
    {{- end -}}
  {{- else if not (or (has $key $plain) (regexMatch "^(requests\\.)?hugepages-.+" $key)) -}}
    {{- $problem = printf "is no name of a quota: write one of %s, count/<plural>.<group> or requests.<resource>" (join ", " $plain) -}}
  {{- end -}}
  {{- with $problem }}
  - {{ $at }}: {{ quote $key }} {{ . }}
  {{- end -}}
{{- end -}}
{{- if and (hasKey $quota "workspaces") (hasKey $quota "count/workspaces.workspaces.jupyter.org") }}
  - {{ $at }}: workspaces and count/workspaces.workspaces.jupyter.org are the same: leave one of them out
{{- end -}}
{{- end }}
