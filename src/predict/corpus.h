#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "predict/feature_shard.h"
#include "predict/routed_text.h"
#include "predict/routers.h"
#include "trace/reader.h"
#include "trace/split.h"

namespace foregate {

/// Which texts of a trace directory to visit, and with what.
struct TextSelection {
  enum class Features {
    kLeaveOut,  ///< hidden states are not attached
    kAttach,    ///< attached where they were recorded
    kRequire    ///< only texts with recorded hidden states, with those attached
  };
  std::optional<Split> split;  ///< nothing: all texts
  Features features = Features::kLeaveOut;
  bool gate_weights = false;
};

/// A complete trace directory as training and evaluation see it: texts with their split and, where
/// recorded, hidden states. Texts are streamed and hidden states mapped, so memory does not grow
/// with the trace.
class Corpus {
 public:
  /// Throws EnvironmentError or DataError for a missing, broken or unfinished trace. With
  /// `held_out`, all texts of that dataset are the test split, and test texts of the others are
  /// training texts; UsageError if there is no such dataset or no other.
  explicit Corpus(const std::filesystem::path& directory, const std::string& held_out = "");

  const std::filesystem::path& path() const { return traces_.path(); }
  const Manifest& manifest() const { return traces_.manifest(); }
  const Geometry& geometry() const { return traces_.geometry(); }
  /// SHA-256 of manifest.json: names this very trace.
  const std::string& digest() const { return digest_; }
  const SplitOptions& split_options() const { return split_options_; }

  bool has_features() const;
  /// Throws DataError that says how to record features, for `who` needs them.
  void require_features(const std::string& who) const;
  const std::optional<Routers>& routers() const { return routers_; }
  /// Takes the routers from elsewhere (the model's checkpoint). Throws DataError if they do not
  /// fit.
  void set_routers(Routers routers, const std::string& where);

  /// Calls `visit` for each selected text, in reading order. Throws DataError if features do not
  /// belong to their text, InterruptedError after Ctrl-C.
  void for_each(const TextSelection& selection,
                const std::function<void(const RoutedText&)>& visit) const;
  int64_t count(const TextSelection& selection) const;

 private:
  void hold_out(const std::string& dataset);
  bool selected(const TextSelection& selection, size_t shard, int64_t row, size_t text) const;
  void attach_features(size_t shard, int64_t row, RoutedText& text) const;

  TraceDirectory traces_;
  std::string digest_;
  SplitOptions split_options_;
  std::vector<Split> splits_;                            ///< in reading order
  std::vector<std::unique_ptr<FeatureShard>> features_;  ///< a shard; null if none recorded
  std::optional<Routers> routers_;
};

}  // namespace foregate
