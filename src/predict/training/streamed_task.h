#pragma once

#include <torch/types.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "predict/fit_inputs.h"
#include "predict/texts/text_stream.h"
#include "predict/training/loss.h"
#include "predict/training/trainer.h"

namespace foregate::predict {

/// All tokens of some texts, as one kind of predictor learns from them.
template <class Rows>
concept TrainingRows = requires(
    Rows rows, const Rows& filled, const std::vector<RoutedText>& texts,
    const TrainerSettings& settings, Random& random, typename Rows::BatchIndices& indices,
    const std::function<void(const typename Rows::BatchIndices& indices, int64_t tokens)>& visit) {
  /// Takes these texts instead of those it had.
  rows.set(texts);
  { filled.num_tokens() } -> std::convertible_to<int64_t>;
  /// Whether gather() does what CudaGraph asks for: the same on tensors that stay where they are.
  { filled.repeats() } -> std::convertible_to<bool>;
  /// Chooses a batch at random and brings its places to where the rows are.
  filled.draw(settings, random, indices);
  /// What the predictor looks at, and what it is to find.
  { filled.gather(indices, torch::kFloat32).inputs } -> std::convertible_to<typename Rows::Inputs>;
  { filled.gather(indices, torch::kFloat32).truth } -> std::convertible_to<Decisions>;
  /// Batches spread over all tokens, about settings.validation_tokens together.
  filled.for_each_spread_batch(settings, visit);
};

/// Training on random batches of rows: of those of the training split, or of what a stream shows.
template <TrainingRows Rows>
class StreamedTask : public TrainingTask {
 public:
  using Logits = std::function<torch::Tensor(const NamedTensors& parameters,
                                             const typename Rows::Inputs& inputs,
                                             torch::ScalarType dtype)>;  // -> [L', n, E] float32

  /// Rows that hold the splits already, or are empty and filled from inputs.stream, to which the
  /// task refers.
  StreamedTask(Rows training, Rows validation, Logits logits, const FitInputs& inputs,
               const TrainerSettings& settings)
      : training_(std::move(training)),
        validation_(std::move(validation)),
        logits_(std::move(logits)),
        settings_(settings),
        seed_(inputs.environment.seed),
        dtype_(inputs.environment.dtype),
        stream_(inputs.stream) {
    if (stream_ == nullptr) return;
    validation_.set(stream_->validation());
    if (validation_.num_tokens() == 0) follow_stream(0);
  }

  void prepare(int64_t step) override {
    if (stream_ != nullptr) follow_stream(step);
    // A stream of its own for each step: a resumed training draws what an uninterrupted one does.
    Random random = Random(seed_).fork(static_cast<uint64_t>(step));
    training_.draw(settings_, random, drawn_);
  }

  torch::Tensor loss(const NamedTensors& parameters) override {
    const auto batch = training_.gather(drawn_, dtype_);
    return mean_loss(settings_.loss, logits_(parameters, batch.inputs, dtype_), batch.truth);
  }

  bool repeats() const override {
    // A stream replaces the rows again and again.
    return stream_ == nullptr && training_.repeats();
  }

  double validate(const NamedTensors& parameters) override {
    // A few texts may have no validation split; training tokens then choose.
    const Rows& rows = validation_.num_tokens() > 0 ? validation_ : training_;
    double found = 0;
    int64_t seen = 0;
    rows.for_each_spread_batch(
        settings_, [&](const typename Rows::BatchIndices& indices, int64_t tokens) {
          const auto batch = rows.gather(indices, dtype_);
          const torch::Tensor logits = logits_(parameters, batch.inputs, dtype_);
          found += recall_at_k(logits, batch.truth.experts) * static_cast<double>(tokens);
          seen += tokens;
        });
    return found / static_cast<double>(std::max<int64_t>(seen, 1));
  }

 private:
  void follow_stream(int64_t step) {
    stream_->advance_to(static_cast<double>(step) / static_cast<double>(settings_.steps));
    if (stream_->version() == version_) return;
    training_.set(stream_->texts());
    version_ = stream_->version();
  }

  Rows training_;
  Rows validation_;
  const Logits logits_;
  const TrainerSettings settings_;
  const uint64_t seed_;
  const torch::ScalarType dtype_;
  TextStream* const stream_;  // may be null
  int64_t version_ = -1;      // of the stream's texts in training_
  typename Rows::BatchIndices drawn_;
};

}  // namespace foregate::predict
