{{- define "nextbest.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "nextbest.selector" -}}
app.kubernetes.io/name: nextbest
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "nextbest.labels" -}}
{{ include "nextbest.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "nextbest.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "nextbest.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}

{{- define "nextbest.image" -}}
{{ printf "%s-%s:%s" .root.Values.image.repository .part (.root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{- define "nextbest.claim" -}}
{{ .Values.worker.persistence.existingClaim | default (printf "%s-data" (include "nextbest.name" .)) }}
{{- end }}

{{- define "nextbest.configMap" -}}
{{ .Values.declaration.existingConfigMap | default (printf "%s-declaration" (include "nextbest.name" .)) }}
{{- end }}

{{/* Where each process of a cluster of several pods listens. */}}
{{- define "nextbest.addresses" -}}
{{- $name := printf "%s-worker" (include "nextbest.name" .) -}}
{{- range $i := until (int .Values.worker.replicas) -}}
{{- if $i }},{{ end }}{{ $name }}-{{ $i }}.{{ $name }}.{{ $.Release.Namespace }}.svc:{{ $.Values.worker.clusterPort }}
{{- end -}}
{{- end }}

{{/* Which log, strategy and catalog: the same for worker and service. */}}
{{- define "nextbest.shared" -}}
- --catalog
- {{ .Values.declaration.reference | quote }}
{{- if .Values.log.kafka.topic }}
- --topic
- {{ .Values.log.kafka.topic | quote }}
- --kafka
- {{ .Values.log.kafka.brokers | quote }}
{{- else }}
- --stream
- {{ .Values.log.stream | quote }}
{{- if gt (int .Values.log.partitions) 1 }}
- --partitions
- {{ .Values.log.partitions | int | quote }}
{{- end }}
{{- end }}
{{- if .Values.declaration.strategy }}
- --strategy
- {{ .Values.declaration.strategy | quote }}
{{- end }}
{{- end }}

{{- define "nextbest.env" -}}
- name: NEXTBEST_REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ .root.Values.store.existingSecret | quote }}, key: {{ .root.Values.store.key | quote }}}
{{- if and .root.Values.log.kafka.topic .root.Values.log.kafka.existingSecret }}
- name: NEXTBEST_KAFKA_CONFIG
  valueFrom:
    secretKeyRef: {name: {{ .root.Values.log.kafka.existingSecret | quote }}, key: {{ .root.Values.log.kafka.key | quote }}}
{{- end }}
- name: NEXTBEST_METRICS_HOST
  value: "0.0.0.0"
- name: NEXTBEST_METRICS_PORT
  value: {{ .metricsPort | int | quote }}
{{- range $key, $value := .root.Values.settings }}
- name: NEXTBEST_{{ $key | upper }}
  {{- /* Numbers of a values file are floats: 4294967296 must not become 4.294967296e+09. */}}
  {{- if and (kindIs "float64" $value) (eq $value (floor $value)) }}
  value: {{ $value | int64 | quote }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- with .root.Values.telemetry.otlp }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_SERVICE_NAME
  value: {{ printf "%s-%s" .serviceName $.command | quote }}
{{- if .headers.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ .headers.existingSecret | quote }}, key: {{ .headers.key | quote }}}
{{- end }}
{{- if .sampler }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
{{- end }}
{{- if .samplerArgument }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArgument | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "nextbest.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "nextbest.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "nextbest.placing" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What a schema cannot say, or not clearly. */}}
{{- define "nextbest.check" -}}
{{- if ne (int .Values.valuesVersion) 1 }}
{{- fail (printf "valuesVersion %d: these values are for another version of this chart, which has valuesVersion 1; compare them with the chart's values.yaml, see `Upgrade` in deploy/RUNBOOK.md" (int .Values.valuesVersion)) }}
{{- end }}
{{- if and .Values.log.kafka.topic (not .Values.log.kafka.brokers) }}
{{- fail "log.kafka.topic is set: give log.kafka.brokers too, host:port,..." }}
{{- end }}
{{- if and .Values.log.kafka.brokers (not .Values.log.kafka.topic) }}
{{- fail "log.kafka.brokers is set: give log.kafka.topic too, or neither" }}
{{- end }}
{{- if and (gt (int .Values.worker.replicas) 1) (gt (int .Values.worker.processes) 1) }}
{{- fail "worker.replicas and worker.processes are both above 1: give several processes in one pod, or several pods of one process" }}
{{- end }}
{{- if and (gt (int .Values.worker.replicas) 1) (not .Values.worker.persistence.existingClaim) (ne .Values.worker.persistence.accessMode "ReadWriteMany") }}
{{- fail "worker.replicas is above 1: the pods share the data directory, so worker.persistence.accessMode must be ReadWriteMany; or keep one pod and raise worker.processes" }}
{{- end }}
{{- with .Values.telemetry.otlp }}
{{- if and (not .endpoint) (or .headers.existingSecret .sampler .samplerArgument) }}
{{- fail "telemetry.otlp says how to trace, and not where to: give telemetry.otlp.endpoint" }}
{{- end }}
{{- if ne (not .samplerArgument) (not (hasSuffix "traceidratio" .sampler)) }}
{{- fail "telemetry.otlp.samplerArgument is a share: it goes with a sampler that has one, traceidratio or parentbased_traceidratio, and that with it" }}
{{- end }}
{{- end }}
{{- if and .Values.declaration.files .Values.declaration.existingConfigMap }}
{{- fail "give declaration.files or declaration.existingConfigMap, not both" }}
{{- end }}
{{- if and (hasPrefix "/shop/" .Values.declaration.reference) (not .Values.declaration.files) (not .Values.declaration.existingConfigMap) }}
{{- fail (printf "declaration.reference is %s, and nothing is mounted at /shop: give declaration.files (--set-file declaration.files.shop\\.py=shop.py) or declaration.existingConfigMap" .Values.declaration.reference) }}
{{- end }}
{{- if gt (int .Values.service.autoscaling.minReplicas) (int .Values.service.autoscaling.maxReplicas) }}
{{- fail "service.autoscaling.minReplicas is above maxReplicas" }}
{{- end }}
{{- if eq (int .Values.service.metricsPort) 8080 }}
{{- fail "service.metricsPort is 8080, where the service itself listens: give another" }}
{{- end }}
{{- if and (gt (int .Values.worker.replicas) 1) (eq (int .Values.worker.metricsPort) (int .Values.worker.clusterPort)) }}
{{- fail "worker.metricsPort and worker.clusterPort are the same: give two" }}
{{- end }}
{{- if gt (int (add .Values.worker.metricsPort .Values.worker.processes)) 65536 }}
{{- fail (printf "worker.metricsPort %d: each of %d processes has a port from there on, and the last port is 65535" (int .Values.worker.metricsPort) (int .Values.worker.processes)) }}
{{- end }}
{{- end }}
