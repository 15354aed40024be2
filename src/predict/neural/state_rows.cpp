#include "predict/neural/state_rows.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "nn/gather_rms_norm.h"
#include "scoring/constants.h"
#include "scoring/neural/state_row.h"
#include "tensor/device/device_memory.h"
#include "tensor/device/transfer.h"

namespace foregate::predict {
namespace {

constexpr int64_t kGrain = 64;  // tokens a thread takes at a time

scoring::StateDtype state_dtype(const torch::Tensor& states) {
  switch (states.scalar_type()) {
    case torch::kBFloat16:
      return scoring::StateDtype::kBfloat16;
    case torch::kFloat16:
      return scoring::StateDtype::kFloat16;
    default:
      return scoring::StateDtype::kFloat32;
  }
}

/// Token `token`'s first `layers` rows, each to its place in [layers][batch][hidden].
void normalize_token(const torch::Tensor& states,  // [n, L, H]
                     int64_t token, int64_t layers, float* out, int64_t layer_stride) {
  const int64_t hidden = states.size(2);
  const int64_t bytes = hidden * states.element_size();
  const auto* row =
      static_cast<const std::byte*>(states.const_data_ptr()) + token * states.size(1) * bytes;
  for (int64_t l = 0; l < layers; ++l) {
    scoring::normalize_state(row + l * bytes, state_dtype(states), static_cast<size_t>(hidden),
                             out + l * layer_stride);
  }
}

}  // namespace

const torch::Tensor& visible_states(const RoutedText& text, const scoring::Lead& lead) {
  return lead.kind == scoring::Lead::Kind::kPreAttention ? text.residual : text.router_inputs;
}

torch::Tensor normalized_states(const torch::Tensor& states, int64_t layers) {
  const torch::Tensor rows = states.contiguous();
  const int64_t tokens = rows.size(0);
  const int64_t hidden = rows.size(2);
  torch::Tensor out = torch::empty({layers, tokens, hidden}, torch::kFloat32);
  auto* data = out.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      normalize_token(rows, t, layers, data + t * hidden, tokens * hidden);
    }
  });
  return out;
}

StateInputs inputs_of(const RoutedText& text, const scoring::Lead& lead,
                      const trace::Geometry& geometry, bool history) {
  const int64_t layers = geometry.num_moe_layers - lead.first_layer();
  StateInputs inputs{normalized_states(visible_states(text, lead), layers), {}};
  if (!history) return inputs;
  const torch::Tensor tokens = torch::arange(text.num_tokens(), torch::kInt64);
  const torch::Tensor experts = text.experts.slice(1, lead.first_layer()).to(torch::kInt32);
  inputs.history = history_of({text.token_ids, tokens, experts}, tokens, geometry);
  return inputs;
}

StateRows::StateRows(const trace::Geometry& geometry, const scoring::Lead& lead,
                     const Options& options)
    : geometry_(geometry),
      lead_(lead),
      layers_(geometry.num_moe_layers - lead.first_layer()),
      options_(options) {}

void StateRows::read(const RoutedTexts& corpus, trace::Split split) {
  clear();
  const TextSelection selection{.split = split,
                                .features = TextSelection::Features::kRequire,
                                .gate_weights = options_.gate_weights};
  corpus.for_each(selection, [&](const RoutedText& text) { add(text); });
  finish();
}

void StateRows::set(const std::vector<RoutedText>& texts) {
  clear();
  for (const RoutedText& text : texts) add(text);
  finish();
}

void StateRows::clear() {
  num_tokens_ = 0;
  pieces_.clear();
  states_ = torch::Tensor();
  // An empty piece in front: there may be no text.
  ids_ = {torch::empty({0}, torch::kInt64)};
  places_ = ids_;
  experts_ = {torch::empty({0, layers_, geometry_.top_k}, torch::kInt32)};
  text_gate_weights_ = {torch::empty({0, layers_, geometry_.top_k}, torch::kFloat16)};
}

void StateRows::add(const RoutedText& text) {
  if (text.num_tokens() == 0) return;
  pieces_.push_back({num_tokens_, visible_states(text, lead_)});
  ids_.push_back(text.token_ids);
  places_.push_back(torch::arange(text.num_tokens(), torch::kInt64));
  experts_.push_back(text.experts.slice(1, lead_.first_layer()).to(torch::kInt32));
  if (options_.gate_weights) {
    text_gate_weights_.push_back(
        text.gate_weights.slice(1, lead_.first_layer()).to(torch::kFloat16));
  }
  num_tokens_ += text.num_tokens();
}

void StateRows::finish() {
  rows_ = {torch::cat(ids_).to(options_.device), torch::cat(places_).to(options_.device),
           torch::cat(experts_).to(options_.device)};
  if (options_.gate_weights) gate_weights_ = torch::cat(text_gate_weights_).to(options_.device);
  for (auto* parts : {&ids_, &places_, &experts_, &text_gate_weights_}) parts->clear();
  if (options_.device.is_cuda() && num_tokens_ > 0) move_states();
}

void StateRows::move_states() {
  const torch::Tensor& first = pieces_.front().states;
  const int64_t bytes = num_tokens_ * layers_ * first.size(2) * first.element_size();
  // States that a running model left on the GPU cannot be read from here.
  if (first.is_cpu() && bytes > tensor::device_memory(options_.device).free / 2) return;
  states_ =
      torch::empty({num_tokens_, layers_, first.size(2)}, first.options().device(options_.device));
  for (const Piece& piece : pieces_) {
    const torch::Tensor states = piece.states.slice(1, 0, layers_);
    states_.narrow(0, piece.first, states.size(0)).copy_(states);
  }
}

const StateRows::Piece& StateRows::piece_of(int64_t token) const {
  const auto next =
      std::upper_bound(pieces_.begin(), pieces_.end(), token,
                       [](int64_t value, const Piece& piece) { return value < piece.first; });
  return *std::prev(next);
}

torch::Tensor StateRows::gather_states(const std::vector<int64_t>& tokens) const {
  const auto size = static_cast<int64_t>(tokens.size());
  const int64_t hidden = pieces_.front().states.size(2);
  torch::Tensor states = torch::empty({layers_, size, hidden}, torch::kFloat32);
  auto* data = states.mutable_data_ptr<float>();
  at::parallel_for(0, size, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = tokens[static_cast<size_t>(i)];
      const Piece& piece = piece_of(token);
      normalize_token(piece.states, token - piece.first, layers_, data + i * hidden, size * hidden);
    }
  });
  return states;
}

void StateRows::stage(std::vector<int64_t> tokens, BatchIndices& indices) const {
  indices.tokens = std::move(tokens);
  const auto size = static_cast<int64_t>(indices.tokens.size());
  if (!indices.index.defined() || indices.index.size(0) != size) {
    indices.index =
        torch::empty({size}, torch::TensorOptions(torch::kInt64).device(options_.device));
  }
  tensor::copy_to_device(torch::tensor(indices.tokens, torch::kInt64), indices.index);
}

StateRows::Batch StateRows::gather(const BatchIndices& indices, torch::ScalarType dtype) const {
  StateInputs inputs;
  if (options_.history) inputs.history = history_of(rows_, indices.index, geometry_);
  if (states_.defined()) {
    inputs.states = nn::gather_rms_norm(states_, indices.index, scoring::kStateEpsilon, dtype);
  } else {
    inputs.states = gather_states(indices.tokens).to(options_.device);
  }
  const auto by_layer = [&](const torch::Tensor& rows, torch::ScalarType to) {
    return rows.index_select(0, indices.index).to(to).transpose(0, 1);
  };
  Decisions truth{by_layer(rows_.experts, torch::kInt64), {}};
  if (gate_weights_.defined()) truth.gate_weights = by_layer(gate_weights_, torch::kFloat32);
  return {inputs, truth};
}

void StateRows::draw(const TrainerSettings& settings, Random& random, BatchIndices& indices) const {
  const int64_t run = std::min(settings.run_tokens, num_tokens_);
  const auto starts = static_cast<uint64_t>(num_tokens_ - run + 1);
  std::vector<int64_t> tokens;
  while (static_cast<int64_t>(tokens.size()) < settings.batch_tokens) {
    const auto first = static_cast<int64_t>(random.below(starts));
    for (int64_t i = 0; i < run; ++i) tokens.push_back(first + i);
  }
  stage(std::move(tokens), indices);
}

void StateRows::for_each_spread_batch(
    const TrainerSettings& settings,
    const std::function<void(const BatchIndices& indices, int64_t tokens)>& visit) const {
  const int64_t count = std::min(settings.validation_tokens, num_tokens_);
  for (int64_t first = 0; first < count; first += settings.batch_tokens) {
    const int64_t size = std::min(settings.batch_tokens, count - first);
    std::vector<int64_t> tokens;
    for (int64_t i = first; i < first + size; ++i) tokens.push_back(i * num_tokens_ / count);
    BatchIndices indices;
    stage(std::move(tokens), indices);
    visit(indices, size);
  }
}

}  // namespace foregate::predict
