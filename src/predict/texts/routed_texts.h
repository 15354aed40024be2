#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nn/routers.h"
#include "predict/texts/routed_text.h"
#include "trace/split/split.h"

namespace foregate::predict {

/// Which texts to visit, and with what.
struct TextSelection {
  enum class Features {
    kLeaveOut,  ///< hidden states are not attached
    kAttach,    ///< attached where there are any
    kRequire    ///< only texts with hidden states, with those attached
  };
  std::optional<trace::Split> split;  ///< nothing: all texts
  Features features = Features::kLeaveOut;
  bool gate_weights = false;
};

/// Texts of one model with their split and routing, as predictors learn from them: recorded in a
/// trace directory (Corpus), or routed by the running model at each visit.
class RoutedTexts {
 public:
  RoutedTexts() = default;
  virtual ~RoutedTexts() = default;
  RoutedTexts(const RoutedTexts&) = delete;
  RoutedTexts& operator=(const RoutedTexts&) = delete;

  /// What messages call them.
  virtual std::string name() const = 0;
  virtual const trace::Geometry& geometry() const = 0;
  virtual bool has_features() const = 0;
  virtual bool has_gate_weights() const = 0;
  /// Mean length of a text.
  virtual double mean_tokens() const = 0;

  /// Calls `visit` for each selected text, always in the same order, its tensors on the CPU. Memory
  /// does not grow with the number of texts. Throws DataError or InterruptedError (a stop).
  virtual void for_each(const TextSelection& selection,
                        const std::function<void(const RoutedText&)>& visit) const = 0;
  virtual int64_t count(const TextSelection& selection) const = 0;

  /// Throws DataError that says how to record features, for `who` needs them.
  void require_features(const std::string& who) const;
  /// Throws DataError that says how to do without gate weights, for `who` is to learn from them.
  void require_gate_weights(const std::string& who) const;
  /// The model's own routers, if they are known.
  const std::optional<nn::Routers>& routers() const { return routers_; }
  /// Takes the routers from elsewhere (the model's checkpoint). Throws DataError if they do not
  /// fit.
  void set_routers(nn::Routers routers, const std::string& where);

 private:
  std::optional<nn::Routers> routers_;
};

/// RoutedText::hash of every training and validation text: what a predictor learns from or is
/// chosen by.
std::vector<uint64_t> hashes_learned_from(const RoutedTexts& texts);

/// RoutedText::hash of these tokens.
uint64_t hash_of(const std::vector<int32_t>& token_ids);

/// Makes all texts of one dataset the test split, and test texts of the others training texts.
/// Throws UsageError if there is no such dataset or no other.
void hold_out_dataset(std::vector<trace::Split>& splits,
                      const std::vector<std::string>& datasets,  // of each text
                      const std::string& held_out);

}  // namespace foregate::predict
