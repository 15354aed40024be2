#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "predict/texts/feature_shard.h"
#include "predict/texts/routed_texts.h"
#include "trace/reader.h"

namespace foregate::predict {

/// A complete trace directory as training and evaluation see it: texts with their split and, where
/// recorded, hidden states. Texts are streamed and hidden states mapped, so memory does not grow
/// with the trace.
class Corpus : public RoutedTexts {
 public:
  /// Throws EnvironmentError or DataError for a missing, broken or unfinished trace. With
  /// `held_out`, all texts of that dataset are the test split, and test texts of the others are
  /// training texts; UsageError if there is no such dataset or no other. Visits end when `stop`
  /// asks for it; it outlives the corpus.
  explicit Corpus(const std::filesystem::path& directory, const std::string& held_out = "",
                  const StopToken& stop = silent_run().stop);

  const std::filesystem::path& path() const { return traces_.path(); }
  const trace::Manifest& manifest() const { return traces_.manifest(); }
  std::string name() const override { return path().string(); }
  const trace::Geometry& geometry() const override { return traces_.geometry(); }
  double mean_tokens() const override;
  /// SHA-256 of manifest.json: names this very trace.
  const std::string& digest() const { return digest_; }
  const trace::SplitOptions& split_options() const { return split_options_; }

  /// Takes the routers of a checkpoint instead of those recorded. Throws DataError if the trace was
  /// recorded with others, or if they do not fit.
  void take_routers_of_model(nn::Routers routers);

  bool has_features() const override;
  bool has_gate_weights() const override { return manifest().gate_weights; }
  /// In reading order. Throws DataError if features do not belong to their text, InterruptedError.
  void for_each(const TextSelection& selection,
                const std::function<void(const RoutedText&)>& visit) const override;
  int64_t count(const TextSelection& selection) const override;

 private:
  void hold_out(const std::string& dataset);
  bool selected(const TextSelection& selection, size_t shard, int64_t row, size_t text) const;
  void attach_features(size_t shard, int64_t row, RoutedText& text) const;

  const StopToken& stop_;
  trace::TraceDirectory traces_;
  std::string digest_;
  trace::SplitOptions split_options_;
  std::vector<trace::Split> splits_;                     ///< in reading order
  std::vector<std::unique_ptr<FeatureShard>> features_;  ///< a shard; null if none recorded
};

}  // namespace foregate::predict
