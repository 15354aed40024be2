#include "predict/neural/sequence_task.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "predict/fit_inputs.h"
#include "predict/neural/state_task.h"

namespace foregate::predict {
namespace {

Decisions truth_of(const WindowBatch& batch, const Predictor& predictor) {
  const auto by_layer = [&](const torch::Tensor& rows) {
    return rows.slice(1, predictor.first_layer()).transpose(0, 1);
  };
  Decisions truth{by_layer(batch.experts), {}};
  if (batch.gate_weights.defined()) truth.gate_weights = by_layer(batch.gate_weights);
  return truth;
}

}  // namespace

SequenceTask::SequenceTask(const TransformerPredictor& predictor, const FitInputs& inputs,
                           const TrainerSettings& settings, int64_t window)
    : predictor_(predictor),
      settings_(settings),
      seed_(inputs.environment.seed),
      device_(inputs.environment.device),
      dtype_(inputs.environment.dtype),
      stream_(inputs.stream),
      training_(predictor.geometry(), window, needs_gate_weights(settings.loss)),
      validation_(predictor.geometry(), window) {
  if (stream_ != nullptr) {
    ids_ = stream_->ids();
    validation_.set(stream_->validation());
  } else {
    training_.read(inputs.corpus, trace::Split::kTrain);
    validation_.read(inputs.corpus, trace::Split::kValidation);
    ids_ = std::get<0>(at::_unique(training_.ids(), /*sorted=*/true));
  }
  if (ids_.size(0) == 0) {
    throw DataError(fmt::format("{}: the training split has no token; collect more texts",
                                inputs.corpus.name()));
  }
  if (stream_ == nullptr) training_.look_up(ids_, device_);
  validation_.look_up(ids_, device_);
  if (stream_ != nullptr && validation_.windows().empty()) follow_stream(0);
}

void SequenceTask::follow_stream(int64_t step) {
  stream_->advance_to(static_cast<double>(step) / static_cast<double>(settings_.steps));
  if (stream_->version() == version_) return;
  training_.set(stream_->texts());
  training_.look_up(ids_, device_);
  version_ = stream_->version();
}

void SequenceTask::prepare(int64_t step) {
  if (stream_ != nullptr) follow_stream(step);
  // A stream of its own for each step: a resumed training draws what an uninterrupted one does.
  Random random = Random(seed_).fork(static_cast<uint64_t>(step));
  std::vector<TokenWindow> windows;
  for (int64_t tokens = 0; tokens < settings_.batch_tokens; tokens += windows.back().size) {
    windows.push_back(training_.windows()[random.below(training_.windows().size())]);
  }
  dropout_ = at::globalContext().defaultGenerator(device_).clone();
  dropout_.set_current_seed(random.next());
  batch_ = training_.gather(windows);
}

torch::Tensor SequenceTask::loss(const NamedTensors& parameters) {
  const torch::Tensor logits = predictor_.logits(parameters, batch_, dtype_, dropout_);
  return mean_loss(settings_.loss, logits, truth_of(batch_, predictor_));
}

double SequenceTask::validate(const NamedTensors& parameters) {
  // A few texts may have no validation split; training tokens then choose.
  const WindowRows& rows = validation_.windows().empty() ? training_ : validation_;
  const int64_t total = rows.ids().size(0);
  const int64_t wanted = std::min(settings_.validation_tokens, total);
  double found = 0;
  int64_t counted = 0;
  std::vector<TokenWindow> batch;
  int64_t size = 0;
  const auto measure = [&] {
    if (batch.empty()) return;
    const WindowBatch gathered = rows.gather(batch);
    const torch::Tensor logits = predictor_.logits(parameters, gathered, dtype_, {});
    found +=
        recall_at_k(logits, truth_of(gathered, predictor_).experts) * static_cast<double>(size);
    counted += size;
    batch.clear();
    size = 0;
  };
  // Windows spread over the split, about as many tokens as wanted.
  int64_t seen = 0;
  for (const TokenWindow& window : rows.windows()) {
    seen += window.size;
    if ((counted + size) * total > seen * wanted) continue;
    batch.push_back(window);
    size += window.size;
    if (size >= settings_.batch_tokens) measure();
  }
  measure();
  return found / static_cast<double>(std::max<int64_t>(counted, 1));
}

}  // namespace foregate::predict
