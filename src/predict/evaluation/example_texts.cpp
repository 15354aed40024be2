#include "predict/evaluation/example_texts.h"

#include <torch/types.h>

#include <algorithm>

#include "stats/expert_paths.h"

namespace foregate::predict {
namespace {

torch::Tensor first_rows(const torch::Tensor& rows, int64_t count) {
  return rows.defined() ? rows.slice(0, 0, count) : rows;
}

/// No predictor looks ahead, so what it foresees of a text's beginning is what it foresees of the
/// text.
RoutedText beginning(const RoutedText& text, int64_t tokens) {
  RoutedText cut = text;
  cut.prompt_tokens = std::min(text.prompt_tokens, tokens);
  cut.token_ids = first_rows(text.token_ids, tokens);
  cut.experts = first_rows(text.experts, tokens);
  cut.gate_weights = first_rows(text.gate_weights, tokens);
  cut.router_inputs = first_rows(text.router_inputs, tokens);
  cut.residual = first_rows(text.residual, tokens);
  return cut;
}

template <typename To, typename From>
std::vector<To> to_vector(const torch::Tensor& tensor) {
  const torch::Tensor values = tensor.contiguous();
  const From* begin = values.const_data_ptr<From>();
  return {begin, begin + values.numel()};
}

trace::Trace trace_of(const RoutedText& text) {
  trace::Trace trace;
  trace.dataset = text.dataset;
  trace.sample = text.sample;
  trace.prompt_tokens = static_cast<int32_t>(text.prompt_tokens);
  trace.token_ids = to_vector<int32_t, int64_t>(text.token_ids);
  trace.experts = to_vector<uint16_t, int64_t>(text.experts);
  return trace;
}

stats::Foresight foresee(const Predictor& predictor, const RoutedText& text) {
  const int64_t k = predictor.geometry().top_k;
  const torch::Tensor best =  // Stable: ties rank by lowest index, as in the metrics.
      predictor.score(text).argsort(/*stable=*/true, -1, /*descending=*/true).slice(-1, 0, k);
  const torch::Tensor chosen = text.experts.slice(1, predictor.first_layer());
  torch::Tensor found = torch::zeros(text.experts.sizes(), torch::kUInt8);
  found.slice(1, predictor.first_layer())
      .copy_(chosen.unsqueeze(-1).eq(best.unsqueeze(-2)).any(-1));
  return {predictor.first_layer(), to_vector<uint8_t, uint8_t>(found)};
}

}  // namespace

void ExampleTexts::add(const RoutedText& text) {
  if (text.num_tokens() < stats::ExpertPaths::kWanted || kept_[text.dataset] == per_dataset_)
    return;
  ++kept_[text.dataset];
  const RoutedText cut = beginning(text, stats::ExpertPaths::kTokens);
  stats::ExampleText& kept = texts_.emplace_back(stats::ExampleText{trace_of(cut), {}});
  for (const Candidate& candidate : candidates_) {
    kept.foresights.push_back(foresee(*candidate.predictor, cut));
  }
}

}  // namespace foregate::predict
