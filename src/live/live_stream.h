#pragma once

#include <deque>
#include <vector>

#include "live/live_texts.h"
#include "predict/texts/text_stream.h"

namespace foregate::live {

struct LiveStreamOptions {
  int64_t batches = 8;            ///< of the model's, in memory at a time
  int64_t passes = 1;             ///< over the training texts, from the first step to the last
  int64_t validation_tokens = 0;  ///< of the sample, about
  bool features = true;           ///< whether anybody reads hidden states
};

/// The training texts as a running model routes them: the latest batches, oldest out first. A
/// training moves through `passes` passes over the texts while it does its steps.
class LiveStream : public predict::TextStream {
 public:
  LiveStream(const LiveTexts& texts, const LiveStreamOptions& options);

  void advance_to(double share) override;
  const std::vector<predict::RoutedText>& texts() const override { return texts_at_hand_; }
  int64_t version() const override { return end_; }
  const std::vector<predict::RoutedText>& validation() const override { return validation_; }
  const torch::Tensor& ids() const override { return texts_.index().training_ids; }

 private:
  void sample_validation(int64_t tokens);
  /// The next batch of the stream, at the end of a pass the first one.
  std::vector<predict::RoutedText> next();

  const LiveTexts& texts_;
  LiveStreamOptions options_;
  int64_t batches_of_pass_;
  std::unique_ptr<LiveReader> reader_;
  int64_t end_ = 0;  // batches of the stream, of all passes, in front of the next one
  std::deque<std::vector<predict::RoutedText>> batches_;
  std::vector<predict::RoutedText> texts_at_hand_;
  std::vector<predict::RoutedText> validation_;
};

}  // namespace foregate::live
