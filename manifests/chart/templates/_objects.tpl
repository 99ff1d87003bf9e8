{{/*
Objects that are the same in both ways of installing are copied from manifests/ into files/ by
`make generate`. Here they only get their namespace, the images where one names them, and the
label that kustomize adds too.
Argument: a dict with root and a pattern of files.
*/}}
{{- define "s3populator.objects" -}}
{{- range $path, $_ := .root.Files.Glob .files }}
{{- $file := $.root.Files.Get $path | replace "s3populator-system" $.root.Release.Namespace }}
{{- range $image, $value := $.root.Values.images }}
{{- $file = $file | replace (printf "docker.io/s3populator/%s:dev" $image) $value.name }}
{{- end }}
{{- range $text := regexSplit "(?m)^---$" $file -1 }}
{{- $object := fromYaml $text }}
{{- if $object }}
---
{{ include "s3populator.labelled" $object }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "s3populator.labelled" -}}
{{- $labels := merge (dict "app.kubernetes.io/part-of" "s3populator") (default (dict) .metadata.labels) }}
{{- $_ := set .metadata "labels" $labels }}
{{- toYaml . }}
{{- end }}
