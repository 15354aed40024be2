#include "collect/fidelity.h"

#include <torch/types.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/engine.h"
#include "text/datasets/sampling.h"
#include "text/tokenizer/formats/tokenizer_path.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate::collect {
namespace {

constexpr int64_t kBatchTokens = 4096;

/// What the routers said of one batch, by MoE layer.
struct RoutedBatch {
  std::vector<torch::Tensor> logits;   ///< L of [T, E] float32, CPU
  std::vector<torch::Tensor> experts;  ///< L of [T, k] int64, CPU
};

class Listener : public engine::EngineObserver {
 public:
  void on_router(const engine::RouterEvent& event) override {
    batch.logits.push_back(event.logits.cpu());
    batch.experts.push_back(event.experts.cpu());
  }
  RoutedBatch batch;
};

RoutedBatch route(engine::Engine& engine, const engine::StepBatch& batch, const StopToken& stop) {
  stop.check("nothing was written");
  Listener listener;
  engine.step(batch, listener);
  return std::move(listener.batch);
}

std::vector<engine::StepBatch> read_texts(const FidelityOptions& options, Logger& log) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(text::tokenizer_path(options.model));
  for (const std::string& note : tokenizer.notes()) log.warning("{}", note);
  const text::SamplingPlan plan =
      text::plan_sampling(options.data, options.texts, options.seed, /*strict=*/false, log);
  text::PlannedTexts texts(plan);
  std::vector<engine::StepBatch> batches;
  text::PlannedText text;
  while (texts.next(text)) {
    std::vector<int32_t> ids = tokenizer.encode(text.text);
    if (static_cast<int64_t>(ids.size()) > options.max_length) {
      ids.resize(static_cast<size_t>(options.max_length));
    }
    const auto length = static_cast<int64_t>(ids.size());
    if (length == 0) continue;
    if (batches.empty() || batches.back().num_tokens() + length > kBatchTokens) {
      batches.emplace_back();
    }
    batches.back().add(ids);
  }
  return batches;
}

// [T, E] with true where an expert is among the chosen.
torch::Tensor membership(const torch::Tensor& experts, int64_t num_experts) {
  return torch::zeros({experts.size(0), num_experts}, torch::kBool).scatter_(1, experts, true);
}

/// Sums over tokens, for one layer.
struct Sums {
  double tokens = 0;
  double same_set = 0;
  double found = 0;
  double top1 = 0;
  double squared_error = 0;
  double squared_logits = 0;

  void add(const torch::Tensor& reference_logits, const torch::Tensor& reference,
           const torch::Tensor& logits, const torch::Tensor& experts) {
    const int64_t k = reference.size(1);
    const int64_t num_experts = logits.size(1);
    const torch::Tensor common =
        (membership(reference, num_experts) & membership(experts, num_experts)).sum(1);
    tokens += static_cast<double>(reference.size(0));
    found += common.sum().item<double>() / static_cast<double>(k);
    same_set += (common == k).sum().item<double>();
    top1 += (reference.select(1, 0) == experts.select(1, 0)).sum().item<double>();
    const torch::Tensor exact = reference_logits.to(torch::kFloat64);
    squared_error += (logits.to(torch::kFloat64) - exact).square().sum().item<double>();
    squared_logits += (exact - exact.mean(1, /*keepdim=*/true)).square().sum().item<double>();
  }

  FidelityRow row() const {
    return {.same_set = same_set / tokens,
            .recall = found / tokens,
            .top1 = top1 / tokens,
            .logit_error = std::sqrt(squared_error / squared_logits)};
  }
};

FidelityRow mean(const std::vector<FidelityRow>& rows) {
  FidelityRow sum;
  const auto count = static_cast<double>(rows.size());
  for (const FidelityRow& row : rows) {
    sum.same_set += row.same_set / count;
    sum.recall += row.recall / count;
    sum.top1 += row.top1 / count;
    sum.logit_error += row.logit_error / count;
  }
  return sum;
}

std::vector<RoutedBatch> route_exactly(const FidelityOptions& options,
                                       const std::vector<engine::StepBatch>& batches,
                                       const StopToken& stop, ProgressTask& progress) {
  engine::Engine engine(options.model, {.compute = {.device = options.compute.device}});
  std::vector<RoutedBatch> routed;
  for (const engine::StepBatch& batch : batches) {
    routed.push_back(route(engine, batch, stop));
    progress.update(static_cast<int64_t>(routed.size()));
  }
  return routed;
}

}  // namespace

Fidelity measure_fidelity(const FidelityOptions& options, const RunContext& run) {
  const std::vector<engine::StepBatch> batches = read_texts(options, run.log);
  if (batches.empty()) throw DataError("the datasets have no text that gives a token");
  const auto count = static_cast<int64_t>(batches.size());
  const auto progress =
      run.progress.start({.label = "compare", .unit = "batches", .total = 2 * count});
  const std::vector<RoutedBatch> exact = route_exactly(options, batches, run.stop, *progress);

  engine::Engine engine(options.model, {.compute = options.compute, .log = &run.log});
  std::vector<Sums> sums(static_cast<size_t>(engine.geometry().num_moe_layers));
  Fidelity fidelity;
  for (size_t i = 0; i < batches.size(); ++i) {
    const RoutedBatch routed = route(engine, batches[i], run.stop);
    for (size_t layer = 0; layer < sums.size(); ++layer) {
      sums[layer].add(exact[i].logits[layer], exact[i].experts[layer], routed.logits[layer],
                      routed.experts[layer]);
    }
    fidelity.texts += batches[i].num_texts();
    fidelity.tokens += batches[i].num_tokens();
    progress->update(count + static_cast<int64_t>(i) + 1);
  }
  progress->finish();
  for (const Sums& layer : sums) fidelity.layers.push_back(layer.row());
  fidelity.all = mean(fidelity.layers);
  return fidelity;
}

}  // namespace foregate::collect
