#include "trace/import/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "trace/geometry.h"
#include "trace/import/renumbering.h"
#include "trace/import/source.h"
#include "trace/import/writer.h"

namespace foregate::trace {
namespace {

std::unique_ptr<TraceSource> open_source(const ImportOptions& options, const RunContext& run) {
  if (options.skip != 0 && options.format != ImportFormat::kVllm) {
    throw UsageError("--skip leaves out rows of a log; it belongs to --format vllm");
  }
  if (!options.more_paths.empty() && options.format == ImportFormat::kNpy) {
    throw UsageError("--format npy reads one folder or stack of arrays; import them one by one");
  }
  switch (options.format) {
    case ImportFormat::kVllm:
      return open_jsonl(options, run);
    case ImportFormat::kNpy:
      return open_npy(options, run.stop);
    case ImportFormat::kCsv:
      return open_csv(options, run);
  }
  return nullptr;
}

/// The largest id seen plus one is a lower bound for the number of experts; the user may know more.
void settle_experts(const ImportOptions& options, bool known, Logger& log, Geometry& geometry) {
  const int found = geometry.num_experts;
  if (options.num_experts == 0) {
    if (known) return;
    log.info(
        "{} experts inferred from the largest expert id ({}); if the model has more, say so "
        "with --experts",
        found, found - 1);
    return;
  }
  if (options.num_experts < found) {
    throw UsageError(fmt::format(
        "--experts {}, but the data of {} {} {}", options.num_experts, options.path.string(),
        known ? "are of a model with" : "use expert id", known ? found : found - 1));
  }
  geometry.num_experts = options.num_experts;
}

/// The ids are those of this tokenizer.
void settle_tokenizer(const TokenDictionary& tokenizer, const std::string& where,
                      Manifest& manifest) {
  const std::string digest = tokenizer.sha256();
  if (!manifest.tokenizer_sha256.empty() && manifest.tokenizer_sha256 != digest) {
    throw DataError(
        fmt::format("{}: was made with another tokenizer than {}; leave --tokenizer out", where,
                    tokenizer.name()));
  }
  manifest.tokenizer_sha256 = digest;
  manifest.geometry.vocab_size = std::max(manifest.geometry.vocab_size, tokenizer.size());
}

void count_losses(const SourceText& text, ImportSummary& summary) {
  if (text.cut == 0) return;
  summary.cut_tokens += text.cut;
  ++(text.trace.token_ids.empty() ? summary.dropped_texts : summary.cut_texts);
}

}  // namespace

Manifest imported_manifest(const std::string& model) {
  Manifest manifest;
  manifest.model = model;
  manifest.dtype = "unknown";
  manifest.quantization = "unknown";
  return manifest;
}

Geometry plain_geometry(int64_t num_moe_layers, int64_t num_experts, int64_t top_k) {
  Geometry geometry;
  geometry.num_moe_layers = static_cast<int>(num_moe_layers);
  geometry.num_experts = static_cast<int>(num_experts);
  geometry.top_k = static_cast<int>(top_k);
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    geometry.moe_layers.push_back(layer);
  }
  return geometry;
}

std::vector<int> dense_layers(const LayerSurvey& survey, const std::vector<int>& moe_layers) {
  std::vector<int> dense;
  for (int layer = 0; layer < survey.layers(); ++layer) {
    if (!std::binary_search(moe_layers.begin(), moe_layers.end(), layer)) dense.push_back(layer);
  }
  return dense;
}

Geometry geometry_of(const LayerSurvey& survey, const std::vector<int>& moe_layers) {
  const auto layers = static_cast<int64_t>(moe_layers.size());
  Geometry geometry = plain_geometry(layers, survey.largest_expert() + 1, survey.k());
  geometry.moe_layers = moe_layers;
  if (layers < survey.layers()) geometry.num_decoder_layers = static_cast<int>(survey.layers());
  return geometry;
}

ImportSummary import_traces(const ImportOptions& options, const RunContext& run) {
  AtomicFolder folder(options.output);
  const std::unique_ptr<TraceSource> source = open_source(options, run);
  Manifest manifest = source->manifest();
  if (!options.model_name.empty()) manifest.model = options.model_name;
  settle_experts(options, source->knows_experts(), run.log, manifest.geometry);
  check_geometry(manifest.geometry, options.path.string());

  const Renumbering renumbering(*source, options);
  manifest.token_ids = renumbering.kind();
  if (options.tokenizer) settle_tokenizer(*options.tokenizer, options.path.string(), manifest);

  ImportSummary summary;
  ImportWriter writer(folder.temporary_path(), std::move(manifest), options.path.string());
  const auto progress =
      run.progress.start({.label = "importing", .unit = "texts", .total = source->num_texts()});
  SourceText text;
  for (int64_t done = 0; source->next(text);) {
    run.stop.check("nothing was imported");
    renumbering.apply(text);
    writer.add(text);
    count_losses(text, summary);
    progress->update(++done);
  }
  progress->finish();
  summary.left_out = source->left_out();
  summary.left_out.say(run.log);
  const TokenNames& names = renumbering.names();
  if (has_token_names(renumbering.kind())) names.write(folder.temporary_path());
  summary.token_names = has_token_names(renumbering.kind()) ? names.size() : 0;
  if (names.collisions() > 0) {
    run.log.warning("{} of {} token strings share their id, a hash, with another and count as that",
                    names.collisions(), names.size());
  }
  summary.manifest = writer.finish();
  folder.commit();
  return summary;
}

}  // namespace foregate::trace
