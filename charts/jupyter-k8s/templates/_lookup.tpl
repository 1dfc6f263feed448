{{/* An object of the cluster as JSON, {} if it is not there: (list apiVersion kind namespace name). Without a cluster nothing is there. The kind
     must be known to the cluster. */}}
{{- define "jk8s.lookup" -}}
{{- lookup (index . 0) (index . 1) (index . 2) (index . 3) | default dict | toJson -}}
{{- end }}
