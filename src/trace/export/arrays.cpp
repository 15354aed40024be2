#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json.h"
#include "trace/export/exported.h"
#include "trace/export/exporter.h"
#include "trace/export/npy_writer.h"
#include "trace/parquet/schema.h"

namespace foregate::trace {
namespace {

/// traces.experts.npy and traces.gate_weights.npy [tokens, MoE layers, k], traces.token_ids.npy
/// [tokens], traces.offsets.npy [texts + 1], traces.meta.jsonl, and the manifest in export.json.
class ArrayExporter : public TraceExporter {
 public:
  ArrayExporter(const fs::path& folder, const Manifest& manifest)
      : folder_(folder),
        manifest_(manifest),
        bytes_(schema::experts_fit_a_byte(manifest.geometry)),
        experts_(file(exported::kExpertsSuffix), bytes_ ? "|u1" : "<u2", routing_shape()),
        token_ids_(file(exported::kTokenIdsSuffix), "<i4", {manifest.num_tokens()}),
        offsets_(file(exported::kOffsetsSuffix), "<i8", {manifest.num_traces() + 1}),
        meta_(file(exported::kMetaSuffix)) {
    if (manifest.gate_weights) {
      weights_.emplace(file(exported::kWeightsSuffix), "<f2", routing_shape());
    }
    offsets_.append(std::vector<int64_t>{0});
  }

  void add(const Trace& trace) override {
    if (bytes_) {
      experts_.append(std::vector<uint8_t>(trace.experts.begin(), trace.experts.end()));
    } else {
      experts_.append(trace.experts);
    }
    if (weights_) weights_->append(trace.gate_weights);
    token_ids_.append(trace.token_ids);
    const Json line = {{"dataset", trace.dataset},
                       {"sample", trace.sample},
                       {"first_row", rows_},
                       {"n_tokens", trace.num_tokens()},
                       {"prompt_tokens", trace.prompt_tokens}};
    meta_.append(json_line(line) + "\n");
    rows_ += trace.num_tokens();
    offsets_.append(std::vector<int64_t>{rows_});
  }

  void finish() override {
    experts_.finish();
    if (weights_) weights_->finish();
    token_ids_.finish();
    offsets_.finish();
    meta_.commit();
    write_json_atomically(folder_ / exported::kManifest,
                          exported::without_shards(manifest_).to_json());
  }

 private:
  fs::path file(const char* suffix) const {
    return folder_ / (std::string(exported::kArrays) + suffix);
  }
  std::vector<int64_t> routing_shape() const {
    return {manifest_.num_tokens(), manifest_.geometry.num_moe_layers, manifest_.geometry.top_k};
  }

  fs::path folder_;
  Manifest manifest_;
  bool bytes_;
  NpyWriter experts_;
  std::optional<NpyWriter> weights_;
  NpyWriter token_ids_;
  NpyWriter offsets_;
  AtomicFile meta_;
  int64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<TraceExporter> export_arrays(const fs::path& folder, const Manifest& manifest) {
  return std::make_unique<ArrayExporter>(folder, manifest);
}

}  // namespace foregate::trace
