#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "collect/recorder.h"
#include "collect/source.h"
#include "live/text_index.h"
#include "predict/texts/routed_texts.h"

namespace foregate::live {

/// The planned texts of a running model. Each visit runs the model over them again; nothing is
/// written, and nothing stays in memory but the batch at hand.
class LiveTexts : public predict::RoutedTexts {
 public:
  /// Takes over a source. With `held_out`, all texts of that dataset are the test split. Texts go
  /// through the model in batches of about `batch_tokens`, the same ones at every visit. What `run`
  /// refers to outlives the texts.
  LiveTexts(collect::Source source, const std::string& held_out, int64_t batch_tokens,
            const RunContext& run);

  std::string name() const override;
  const trace::Geometry& geometry() const override { return source_.engine.geometry(); }
  bool has_features() const override { return true; }
  bool has_gate_weights() const override { return true; }
  double mean_tokens() const override;
  void for_each(const predict::TextSelection& selection,
                const std::function<void(const predict::RoutedText&)>& visit) const override;
  int64_t count(const predict::TextSelection& selection) const override;

  const collect::Source& source() const { return source_; }
  const TextIndex& index() const { return index_; }
  int64_t batch_tokens() const { return batch_tokens_; }

  /// Texts that lie in front of the model.
  struct Waiting {
    std::string dataset;
    int64_t row = 0;  // in its source
    std::vector<int32_t> ids;
  };
  /// Runs the model over a batch. Hidden states, if asked for, stay on its device or come to the
  /// CPU. Throws OutOfMemoryError.
  std::vector<predict::RoutedText> route(const std::vector<Waiting>& batch, bool features,
                                         bool states_stay) const;

 private:
  const StopToken& stop_;
  mutable collect::Source source_;  // Running the engine changes nothing that can be seen.
  TextIndex index_;
  int64_t batch_tokens_;
};

/// Reads a split's texts, or all of them, in batches for LiveTexts::route().
class LiveReader {
 public:
  LiveReader(const LiveTexts& texts, std::optional<trace::Split> split)
      : texts_(texts), split_(split), planned_(texts.source().plan) {}

  /// The next batch; empty at the end. Texts without tokens are left out.
  std::vector<LiveTexts::Waiting> next();
  /// Passes over the next `batches` without tokenising them.
  void skip(int64_t batches);
  /// Batches from beginning to end.
  static int64_t num_batches(const LiveTexts& texts, std::optional<trace::Split> split);

 private:
  const LiveTexts& texts_;
  std::optional<trace::Split> split_;
  text::PlannedTexts planned_;
  size_t at_ = 0;  // planned texts read so far
};

}  // namespace foregate::live
