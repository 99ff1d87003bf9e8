{{/*
Objects that are the same in both ways of installing are copied from manifests/ into files/ by
`make generate`. Here they only get their namespace, the images where one names them, and the
labels of this release.
Argument: a dict with root, a pattern of files, and optionally skip, a list of "Kind name".
*/}}
{{- define "s3populator.objects" -}}
{{- $skip := default (list) .skip }}
{{- range $path, $_ := .root.Files.Glob .files }}
{{- $file := $.root.Files.Get $path | replace "s3populator-system" $.root.Release.Namespace }}
{{- range $image, $value := $.root.Values.images }}
{{- $file = $file | replace (printf "docker.io/s3populator/%s:dev" $image) (include "s3populator.image" (dict "root" $.root "image" $value)) }}
{{- end }}
{{- range $text := regexSplit "(?m)^---$" $file -1 }}
{{- $object := fromYaml $text }}
{{- if and $object (not (has (printf "%s %s" $object.kind $object.metadata.name) $skip)) }}
{{- if and (eq $object.kind "ServiceAccount") $.root.Values.serviceAccount.annotations }}
{{- $_ := set $object.metadata "annotations" $.root.Values.serviceAccount.annotations }}
{{- end }}
---
{{ include "s3populator.labelled" (dict "root" $.root "object" $object) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* An object with the labels of this release. Argument: a dict with root and object. */}}
{{- define "s3populator.labelled" -}}
{{- $labels := merge (include "s3populator.labels" .root | fromYaml) (default (dict) .object.metadata.labels) }}
{{- $_ := set .object.metadata "labels" $labels }}
{{- toYaml .object }}
{{- end }}

{{- define "s3populator.labels" -}}
{{- $labels := dict "app.kubernetes.io/part-of" "s3populator"
  "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/version" (.Chart.AppVersion | toString) "helm.sh/chart" (printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version)) }}
{{- toYaml (merge $labels .Values.commonLabels) }}
{{- end }}

{{/* An image with its registry, tag and digest. Argument: a dict with root and image. */}}
{{- define "s3populator.image" -}}
{{- $name := .image.name }}
{{- $bare := regexReplaceAll "(:[^/:@]+)?(@.+)?$" $name "" }}
{{- if .image.digest }}{{ $name = printf "%s@%s" $bare .image.digest }}{{ else if .image.tag }}{{ $name = printf "%s:%s" $bare .image.tag }}{{ end }}
{{- with .root.Values.global.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^[^/]*[.:][^/]*/" $name "") }}{{ end }}
{{- $name }}
{{- end }}

{{/* Pull secrets of the release and of all charts. */}}
{{- define "s3populator.pullSecrets" -}}
{{- with concat .Values.imagePullSecrets (default (list) .Values.global.imagePullSecrets) }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
