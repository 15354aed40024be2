#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "collect/recorder.h"
#include "engine/generation/request.h"

namespace foregate::collect {

/// A text that was generated, as far as it was run: its last token was not.
struct RecordedText {
  std::vector<int32_t> ids;
  BatchResult routing;  ///< its tensors, on the CPU and ready; without work and range
};

/// Gathers routing while a generator runs, text by text. A token that is run again, because its
/// text had to make room, keeps what was recorded first.
class GenerationRecorder : public engine::EngineObserver {
 public:
  /// `keeps_features`: whether hidden states of the request's text are kept, if any are.
  GenerationRecorder(const trace::Geometry& geometry, RecorderOptions options,
                     std::function<bool(int64_t)> keeps_features);

  /// What the next step runs: see GenerationListener::on_step().
  void on_step(std::span<const engine::StepPart> parts);
  void on_layer_input(int moe_layer, const torch::Tensor& residual) override;
  void on_router(const engine::RouterEvent& event) override;
  /// What was recorded of a request's text, which is then forgotten.
  RecordedText take(int64_t id);

 private:
  struct Growing {
    std::vector<int32_t> ids;
    std::vector<BatchResult> pieces;
  };
  // New tokens of one text in the step, rows `row` to `row + ids.size()` of it.
  struct Part {
    int64_t id = 0;
    int64_t row = 0;
    int64_t feature_row = -1;  ///< among the tokens with features; -1: none
    std::vector<int32_t> ids{};
  };
  /// Hands what the last step brought to its texts, if it came to its end.
  void gather();

  trace::Geometry geometry_;
  Recorder recorder_;
  std::function<bool(int64_t)> keeps_features_;
  std::vector<Part> parts_;
  int layers_seen_ = 0;
  std::map<int64_t, Growing> texts_;
};

}  // namespace foregate::collect
