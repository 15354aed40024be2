#include "collect/generation_trace.h"

#include <torch/types.h>

#include "base/files.h"
#include "base/hash.h"
#include "collect/session.h"
#include "trace/features.h"
#include "trace/reader.h"

namespace foregate::collect {
namespace {

// A shard ends early rather than to hold more than this.
constexpr int64_t kMostHeldBytes = int64_t{256} << 20;

// How many texts there will be turns out in the end, so that a run that goes on plans what it
// finds.
trace::Manifest continued(const std::filesystem::path& directory, trace::Manifest planned,
                          const Json& settings, Logger& log) {
  if (fs::exists(directory / trace::kManifestName)) {
    const trace::Manifest before = trace::read_manifest(directory);
    if (before.datasets.size() == 1) {
      trace::DatasetEntry& dataset = planned.datasets.front();
      dataset.traces = before.datasets.front().traces;
      dataset.available = before.datasets.front().available;
      dataset.skipped = before.datasets.front().skipped;
    }
  }
  trace::Manifest manifest = resume_or_start(directory, planned, log);
  keep_generation(directory, settings);
  return manifest;
}

int64_t bytes_of(const BatchResult& result) {
  int64_t bytes = 0;
  for (const torch::Tensor& tensor : {result.experts, result.gate_weights, result.router_logits,
                                      result.router_inputs, result.residual}) {
    if (tensor.defined()) bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
}

}  // namespace

GenerationTrace::GenerationTrace(const std::filesystem::path& directory, trace::Manifest planned,
                                 const Json& settings, Logger& log)
    : folder_(directory),
      directory_(directory),
      sink_(directory, continued(directory, std::move(planned), settings, log)),
      recorder_(manifest().geometry,
                {.logits = manifest().router_logits, .features = manifest().feature_fraction > 0},
                [this](int64_t row) { return keeps_features(row); }) {
  sink_.begin();
  read_done();
  work_.index = static_cast<int>(manifest().shards.size());
}

void GenerationTrace::read_done() {
  for (const trace::ShardEntry& shard : manifest().shards) {
    trace::ShardReader reader(directory_ / shard.file, manifest().geometry, {.experts = false});
    trace::Trace trace;
    while (reader.next(trace)) done_.insert(trace.sample);
  }
}

bool GenerationTrace::keeps_features(int64_t row) const {
  return trace::features::is_chosen(kPromptsName, row, manifest().seed,
                                    manifest().feature_fraction);
}

void GenerationTrace::set_routers(const nn::Routers& routers) {
  if (manifest().feature_fraction == 0 || manifest().complete) return;
  nn::save_routers(directory_, routers);
  sink_.set_routers(sha256_of_file(directory_ / trace::features::kRoutersFile));
}

void GenerationTrace::on_step(std::span<const engine::StepPart> parts) {
  recorder_.on_step(parts);
}

void GenerationTrace::on_result(const engine::GenerationResult& result) {
  RecordedText text = recorder_.take(result.id);
  const bool whole = result.finish_reason != engine::FinishReason::kInterrupted;
  if (!whole || text.ids.empty() || done_.contains(result.id)) return;
  held_bytes_ += bytes_of(text.routing);
  text.routing.range = {work_.texts.size(), 1};
  work_.texts.push_back({.row = result.id,
                         .ids = std::move(text.ids),
                         .with_features = keeps_features(result.id),
                         .prompt_tokens = result.prompt_tokens});
  results_.push_back(std::move(text.routing));
  if (std::ssize(work_.texts) >= manifest().shard_traces || held_bytes_ >= kMostHeldBytes) flush();
}

void GenerationTrace::flush() {
  if (results_.empty()) return;
  trace::DatasetEntry dataset = manifest().datasets.front();
  dataset.traces = manifest().num_traces() + std::ssize(results_);
  dataset.available = dataset.traces;
  sink_.plan(dataset);
  const int next = work_.index + 1;
  const auto work = std::make_shared<const ShardWork>(std::exchange(work_, {.index = next}));
  for (BatchResult& result : results_) {
    result.work = work;
    result.last_of_shard = &result == &results_.back();
    sink_.add(result);
  }
  results_.clear();
  held_bytes_ = 0;
}

void GenerationTrace::complete(int64_t refused) {
  flush();
  if (manifest().complete) return;
  trace::DatasetEntry dataset = manifest().datasets.front();
  dataset.skipped = refused;
  sink_.plan(dataset);
  sink_.complete();
}

}  // namespace foregate::collect
