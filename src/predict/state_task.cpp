#include "predict/state_task.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "tensor/device.h"
#include "tensor/dtype.h"

namespace foregate {

StateTask::StateTask(const StatePredictor& predictor, const Corpus& corpus,
                     const TrainerSettings& settings, const TrainingEnvironment& environment)
    : predictor_(predictor),
      settings_(settings),
      seed_(environment.seed),
      device_(parse_device(environment.device)),
      dtype_(parse_dtype(environment.dtype)),
      training_(corpus, Split::kTrain, predictor.lead(), device_),
      validation_(corpus, Split::kValidation, predictor.lead(), device_) {
  if (training_.num_tokens() > 0) return;
  throw DataError(
      fmt::format("{}: no text of the training split has features; collect more texts or a larger "
                  "--record features:FRACTION",
                  corpus.path().string()));
}

std::vector<int64_t> StateTask::draw(int64_t step) const {
  // A stream of its own for each step: a resumed training draws what an uninterrupted one does.
  Random random = Random(seed_).fork(static_cast<uint64_t>(step));
  const int64_t run = std::min(settings_.run_tokens, training_.num_tokens());
  const auto starts = static_cast<uint64_t>(training_.num_tokens() - run + 1);
  std::vector<int64_t> tokens;
  while (static_cast<int64_t>(tokens.size()) < settings_.batch_tokens) {
    const auto first = static_cast<int64_t>(random.below(starts));
    for (int64_t i = 0; i < run; ++i) tokens.push_back(first + i);
  }
  return tokens;
}

torch::Tensor StateTask::loss(const NamedTensors& parameters, int64_t step) {
  const StateRows::Batch batch = training_.gather(draw(step));
  const torch::Tensor logits = predictor_.logits(parameters, batch.inputs, dtype_);  // [L', B, E]
  const torch::Tensor truth = multi_hot(batch.experts, predictor_.geometry().num_experts);
  const auto decisions = static_cast<double>(logits.size(0) * logits.size(1));
  return torch::binary_cross_entropy_with_logits(logits, truth, {}, {}, at::Reduction::Sum) /
         decisions;
}

double StateTask::validate(const NamedTensors& parameters) {
  // A trace of a few texts may have no validation split; training tokens then choose.
  const StateRows& rows = validation_.num_tokens() > 0 ? validation_ : training_;
  const int64_t count = std::min(settings_.validation_tokens, rows.num_tokens());
  double sum = 0;
  for (int64_t first = 0; first < count; first += settings_.batch_tokens) {
    const int64_t size = std::min(settings_.batch_tokens, count - first);
    std::vector<int64_t> tokens;
    for (int64_t i = first; i < first + size; ++i) tokens.push_back(i * rows.num_tokens() / count);
    const StateRows::Batch batch = rows.gather(tokens);
    const torch::Tensor logits = predictor_.logits(parameters, batch.inputs, dtype_);
    sum += recall_at_k(logits, batch.experts) * static_cast<double>(size);
  }
  return sum / static_cast<double>(count);
}

double recall_at_k(const torch::Tensor& logits, const torch::Tensor& experts) {
  const torch::Tensor truth = multi_hot(experts, logits.size(-1));
  const torch::Tensor best = std::get<1>(logits.topk(experts.size(-1), -1));
  return truth.gather(-1, best).mean().item<double>();
}

}  // namespace foregate
