#include "offload/prediction/trained.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "scoring/error.h"
#include "scoring/probabilities.h"

namespace foregate::offload {
namespace {

using scoring::Lead;

class TrainedForesight : public Foresight {
 public:
  TrainedForesight(const scoring::Scorer& scorer, const scoring::Calibration& calibration,
                   int64_t sequences, float least_probability)
      : scorer_(scorer),
        calibration_(calibration),
        least_probability_(least_probability),
        scores_(static_cast<size_t>(scorer.num_experts())) {
    for (int64_t i = 0; i < sequences; ++i) sequences_.emplace_back(scorer);
  }

  void at_step(const Step& step, std::vector<Guess>& guesses) override {
    scoring::Sequence& sequence = sequence_of(step);
    if (step.begins_text) sequence.reset();
    // All but the last of a prompt's tokens are over before anything is foreseen.
    const int32_t last = step.first_token + step.num_tokens - 1;
    for (int32_t token = step.first_token; token < last; ++token) {
      begin(step, token);
      for (int layer = 0; layer < num_layers(); ++layer) tell(step, token, layer);
    }
    begin(step, last);
    if (step.prompt || lead().kind != Lead::Kind::kNextToken) return;
    for (int layer = 0; layer < num_layers(); ++layer) guess(step, layer, guesses);
  }

  void at_layer(const Step& step, int layer, std::vector<Guess>& guesses) override {
    if (!step.prompt && lead().kind == Lead::Kind::kPreAttention) guess(step, layer, guesses);
  }

  void at_router(const Step& step, int layer, std::vector<Guess>& guesses) override {
    tell(step, step.first_token + step.num_tokens - 1, layer);
    const int ahead = layer + lead().distance;
    if (!step.prompt && lead().kind == Lead::Kind::kLayer && ahead < num_layers())
      guess(step, ahead, guesses);
  }

 private:
  const Lead& lead() const { return scorer_.identity().lead; }
  int num_layers() const { return static_cast<int>(scorer_.num_layers()); }
  scoring::Sequence& sequence_of(const Step& step) {
    return sequences_[static_cast<size_t>(step.sequence)];
  }

  void begin(const Step& step, int32_t token) {
    sequence_of(step).begin_token(step.text->token_ids[static_cast<size_t>(token)]);
  }

  void tell(const Step& step, int32_t token, int layer) {
    const auto top_k = static_cast<size_t>(scorer_.geometry().top_k);
    const size_t first = (static_cast<size_t>(token) * num_layers() + layer) * top_k;
    chosen_.assign(step.text->experts.begin() + static_cast<std::ptrdiff_t>(first),
                   step.text->experts.begin() + static_cast<std::ptrdiff_t>(first + top_k));
    sequence_of(step).history.set_routing(layer, chosen_);
  }

  void guess(const Step& step, int layer, std::vector<Guess>& guesses) {
    const scoring::Sequence* sequence = &sequence_of(step);
    scorer_.score({&sequence, 1}, layer, scores_.data());
    scoring::to_probabilities(calibration_, scores_);
    for (size_t expert = 0; expert < scores_.size(); ++expert) {
      if (scores_[expert] >= least_probability_)
        guesses.push_back({layer, static_cast<uint16_t>(expert), scores_[expert]});
    }
  }

  const scoring::Scorer& scorer_;
  scoring::Calibration calibration_;
  float least_probability_;
  std::vector<scoring::Sequence> sequences_;
  std::vector<float> scores_;  // [E]
  std::vector<int32_t> chosen_;
};

}  // namespace

TrainedPredictor::TrainedPredictor(const std::filesystem::path& directory,
                                   const trace::Geometry& geometry)
    : directory_(directory), predictor_(scoring::load_predictor(directory)) {
  const trace::Geometry& own = predictor_.scorer->geometry();
  const std::string difference = trace::geometry_difference(own, geometry);
  if (!difference.empty()) {
    throw DataError(fmt::format("{}: {} of the trace or the model; give a predictor of this model",
                                directory.string(), difference));
  }
  if (predictor_.scorer->needs().state) {
    throw scoring::UnsupportedError(fmt::format(
        "{}: '{}' reads hidden states, and caches are told of the routing only; give one that "
        "counts "
        "(statistics, transition, token-table, previous-token), or, of simulate, a stand-in of its "
        "recall and precision",
        directory.string(), predictor_.scorer->identity().name));
  }
  if (!predictor_.calibration) {
    throw DataError(
        fmt::format("{}: has no calibration, so its scores are no probabilities; train it again "
                    "with validation "
                    "texts",
                    directory.string()));
  }
}

std::unique_ptr<Foresight> TrainedPredictor::foresight(const ScheduleOptions& schedule,
                                                       float least_probability) const {
  return std::make_unique<TrainedForesight>(*predictor_.scorer, *predictor_.calibration,
                                            schedule.sequences, least_probability);
}

}  // namespace foregate::offload
