#include "predict/neural/state_task.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "predict/fit_inputs.h"

namespace foregate::predict {

StateTask::StateTask(const StatePredictor& predictor, const FitInputs& inputs,
                     const TrainerSettings& settings)
    : predictor_(predictor),
      settings_(settings),
      seed_(inputs.environment.seed),
      device_(inputs.environment.device),
      dtype_(inputs.environment.dtype),
      stream_(inputs.stream),
      training_(predictor.geometry(), predictor.lead(), device_, needs_gate_weights(settings.loss)),
      validation_(predictor.geometry(), predictor.lead(), device_) {
  if (stream_ != nullptr) {
    validation_.set(stream_->validation());
    if (validation_.num_tokens() == 0) follow_stream(0);
    return;
  }
  training_.read(inputs.corpus, trace::Split::kTrain);
  validation_.read(inputs.corpus, trace::Split::kValidation);
  if (training_.num_tokens() > 0) return;
  throw DataError(
      fmt::format("{}: no text of the training split has features; collect more texts or a larger "
                  "--record features:FRACTION",
                  inputs.corpus.name()));
}

void StateTask::follow_stream(int64_t step) {
  stream_->advance_to(static_cast<double>(step) / static_cast<double>(settings_.steps));
  if (stream_->version() == version_) return;
  training_.set(stream_->texts());
  version_ = stream_->version();
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

void StateTask::prepare(int64_t step) {
  if (stream_ != nullptr) follow_stream(step);
  training_.stage(draw(step), drawn_);
}

bool StateTask::repeats() const {
  // A stream replaces the rows again and again.
  return stream_ == nullptr && training_.resident();
}

torch::Tensor StateTask::loss(const NamedTensors& parameters) {
  const StateRows::Batch batch = training_.gather(drawn_, predictor_.reads_history(), dtype_);
  const torch::Tensor logits = predictor_.logits(parameters, batch.inputs, dtype_);  // [L', B, E]
  return mean_loss(settings_.loss, logits, batch.truth);
}

double StateTask::validate(const NamedTensors& parameters) {
  // A few texts may have no validation split; training tokens then choose.
  const StateRows& rows = validation_.num_tokens() > 0 ? validation_ : training_;
  const int64_t count = std::min(settings_.validation_tokens, rows.num_tokens());
  double sum = 0;
  for (int64_t first = 0; first < count; first += settings_.batch_tokens) {
    const int64_t size = std::min(settings_.batch_tokens, count - first);
    std::vector<int64_t> tokens;
    for (int64_t i = first; i < first + size; ++i) tokens.push_back(i * rows.num_tokens() / count);
    StateRows::BatchIndices drawn;
    rows.stage(tokens, drawn);
    const StateRows::Batch batch = rows.gather(drawn, predictor_.reads_history(), dtype_);
    const torch::Tensor logits = predictor_.logits(parameters, batch.inputs, dtype_);
    sum += recall_at_k(logits, batch.truth.experts) * static_cast<double>(size);
  }
  return sum / static_cast<double>(count);
}

double recall_at_k(const torch::Tensor& logits, const torch::Tensor& experts) {
  const torch::Tensor truth = multi_hot(experts, logits.size(-1));
  const torch::Tensor best = std::get<1>(logits.topk(experts.size(-1), -1));
  return truth.gather(-1, best).mean().item<double>();
}

}  // namespace foregate::predict
