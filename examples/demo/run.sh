#!/usr/bin/env bash
# The whole way on the embedded model: texts -> traces -> predictors -> table -> report.
# usage: examples/demo/run.sh FOREGATE [OUTPUT]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
foregate=${1:?usage: examples/demo/run.sh FOREGATE [OUTPUT]}
output=${2:-out/demo}
texts=examples/demo/texts

step() { printf '\n$ foregate %s\n' "$*"; "$foregate" "$@"; }

rm -rf "$output"
step collect --model examples/demo/model --traces 360 --record features --output "$output/traces" \
  --data film-reviews=$texts/film-reviews.csv \
  --data place-reviews=$texts/place-reviews.csv \
  --data news-briefs=$texts/news-briefs.csv \
  --data reading-passages=$texts/reading-passages.json \
  --data product-reviews=$texts/product-reviews.tsv \
  --data encyclopedia=$texts/encyclopedia.csv
step train --traces "$output/traces" --predictor statistics --lead layer-1 --output "$output/statistics-layer-1"
step train --traces "$output/traces" --predictor gate-adapter --lead layer-1 --config examples/demo/adapter.json \
  --output "$output/gate-adapter-layer-1"
predictors=(--predictor random --predictor frequency --predictor previous-token --predictor token-table
  --predictor transition --predictor next-gate
  --predictor "$output/statistics-layer-1" --predictor "$output/gate-adapter-layer-1")
step evaluate --traces "$output/traces" "${predictors[@]}"
step analyze --traces "$output/traces" --tokenizer examples/demo/model "${predictors[@]}" --output "$output/report.html"
printf '\nThe report is at %s\n' "$(realpath "$output/report.html")"
