#include "collect/generation_recorder.h"

#include <torch/types.h>

#include <algorithm>

namespace foregate::collect {
namespace {

constexpr torch::Tensor BatchResult::*kByToken[] = {
    &BatchResult::experts, &BatchResult::gate_weights, &BatchResult::router_logits};
constexpr torch::Tensor BatchResult::*kByFeatureToken[] = {&BatchResult::router_inputs,
                                                           &BatchResult::residual};

// A copy: the rows of other texts need not stay as long.
torch::Tensor rows_of(const torch::Tensor& all, int64_t first, int64_t count) {
  return all.defined() ? all.narrow(0, first, count).clone() : all;
}

torch::Tensor joined(const std::vector<BatchResult>& pieces, torch::Tensor BatchResult::*member) {
  std::vector<torch::Tensor> tensors;
  for (const BatchResult& piece : pieces) {
    if ((piece.*member).defined()) tensors.push_back(piece.*member);
  }
  return tensors.empty() ? torch::Tensor() : torch::cat(tensors);
}

}  // namespace

GenerationRecorder::GenerationRecorder(const trace::Geometry& geometry, RecorderOptions options,
                                       std::function<bool(int64_t)> keeps_features)
    : geometry_(geometry),
      recorder_(geometry, options),
      keeps_features_(std::move(keeps_features)) {}

void GenerationRecorder::on_step(std::span<const engine::StepPart> parts) {
  gather();
  std::vector<int64_t> feature_tokens;
  int64_t row = 0;
  for (const engine::StepPart& part : parts) {
    const auto count = static_cast<int64_t>(part.ids.size());
    const auto known = static_cast<int64_t>(texts_[part.id].ids.size());
    const int64_t again = std::clamp<int64_t>(known - part.first, 0, count);
    Part fresh{.id = part.id, .row = row + again};
    fresh.ids.assign(part.ids.begin() + again, part.ids.end());
    if (keeps_features_(part.id)) {
      fresh.feature_row = static_cast<int64_t>(feature_tokens.size());
      for (int64_t i = again; i < count; ++i) feature_tokens.push_back(row + i);
    }
    if (again < count) parts_.push_back(std::move(fresh));
    row += count;
  }
  recorder_.begin(row, torch::tensor(feature_tokens, torch::kInt64));
}

void GenerationRecorder::on_layer_input(int moe_layer, const torch::Tensor& residual) {
  recorder_.on_layer_input(moe_layer, residual);
}

void GenerationRecorder::on_router(const engine::RouterEvent& event) {
  recorder_.on_router(event);
  ++layers_seen_;
}

void GenerationRecorder::gather() {
  const std::vector<Part> parts = std::exchange(parts_, {});
  const bool whole = std::exchange(layers_seen_, 0) == geometry_.num_moe_layers;
  if (!whole || parts.empty()) return;  // nothing new, or a step that failed: it comes again
  BatchResult step;
  recorder_.finish(step);
  tensor::wait_for(step.ready);
  for (const Part& part : parts) {
    const auto count = static_cast<int64_t>(part.ids.size());
    Growing& text = texts_[part.id];
    text.ids.insert(text.ids.end(), part.ids.begin(), part.ids.end());
    BatchResult& piece = text.pieces.emplace_back();
    for (const auto member : kByToken) piece.*member = rows_of(step.*member, part.row, count);
    if (part.feature_row < 0) continue;
    for (const auto member : kByFeatureToken) {
      piece.*member = rows_of(step.*member, part.feature_row, count);
    }
  }
}

RecordedText GenerationRecorder::take(int64_t id) {
  gather();
  RecordedText text;
  const auto found = texts_.extract(id);
  if (found.empty()) return text;
  text.ids = std::move(found.mapped().ids);
  for (const auto member : kByToken) text.routing.*member = joined(found.mapped().pieces, member);
  for (const auto member : kByFeatureToken) {
    text.routing.*member = joined(found.mapped().pieces, member);
  }
  return text;
}

}  // namespace foregate::collect
