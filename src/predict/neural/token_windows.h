#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/random.h"
#include "predict/texts/routed_texts.h"
#include "predict/training/loss.h"
#include "predict/training/trainer_settings.h"
#include "scoring/lead.h"

namespace foregate::predict {

/// Consecutive tokens of one text.
struct TokenWindow {
  int64_t first = 0;  ///< token number of its first one
  int64_t size = 0;
};

/// Windows of tokens, one after the other, as a sequence model takes them.
struct WindowBatch {
  torch::Tensor ids;           ///< [n] int64: places in the table of ids
  torch::Tensor experts;       ///< [n, L, k] int64
  torch::Tensor gate_weights;  ///< [n, L, k] float32, or undefined
  torch::Tensor places;        ///< [n] int64: of each token in its window
  /// [windows * longest] int64: the token at each place of a padded layout, n where there is none.
  torch::Tensor padded;
  torch::Tensor flat;  ///< [n] int64: each token's place in the padded layout
  int64_t windows = 0;
  int64_t longest = 0;
  std::optional<at::Generator> dropout;  ///< what to draw dropout from; none: there is no dropout
};

/// Texts one after the other.
struct RoutedRows {
  torch::Tensor ids;           ///< [N] int64: places in the table of ids
  torch::Tensor experts;       ///< [N, L, k] any integers
  torch::Tensor gate_weights;  ///< [N, L, k] any floating-point numbers, or undefined
};

/// Takes the windows out of the rows, on their device.
WindowBatch gather_windows(const RoutedRows& rows, const std::vector<TokenWindow>& windows);

/// All tokens of some texts with their routing, and the windows of at most `length` tokens that
/// they are cut into. In memory, eight bytes a token and two a chosen expert, four if gate weights
/// are to be kept as well.
class TokenWindows {
 public:
  /// Windows drawn, and what to draw their dropout from in training.
  struct BatchIndices {
    std::vector<TokenWindow> windows;
    std::optional<at::Generator> dropout;
  };
  using Inputs = WindowBatch;
  struct Batch {
    Inputs inputs;
    Decisions truth;  ///< of the predictable layers
  };
  struct Options {
    torch::Device device = torch::kCPU;  ///< where windows are gathered
    bool gate_weights = false;           ///< whether they are kept, and given with batches
  };

  TokenWindows(const trace::Geometry& geometry, const scoring::Lead& lead, int64_t length,
               const Options& options)
      : geometry_(geometry), lead_(lead), length_(length), options_(options) {}

  /// Takes a split's texts, or these, instead of those it had.
  void read(const RoutedTexts& corpus, trace::Split split);
  void set(const std::vector<RoutedText>& texts);

  /// From here on, ids are places in this table; its length for ids that are not in it.
  void look_up(const torch::Tensor& ids);                 // [S] int64, ascending
  const torch::Tensor& ids() const { return rows_.ids; }  ///< [N] int64
  int64_t num_tokens() const { return tokens_; }

  // For StreamedTask, once there is a table of ids:
  Batch gather(const BatchIndices& indices, torch::ScalarType dtype) const;
  bool repeats() const { return false; }  // batches differ in shape
  void draw(const TrainerSettings& settings, Random& random, BatchIndices& indices) const;
  void for_each_spread_batch(
      const TrainerSettings& settings,
      const std::function<void(const BatchIndices& indices, int64_t tokens)>& visit) const;

 private:
  void clear();
  void add(const RoutedText& text);
  void finish();
  void move_rows();

  trace::Geometry geometry_;
  scoring::Lead lead_;
  int64_t length_;
  Options options_;
  int64_t tokens_ = 0;
  std::vector<torch::Tensor> text_ids_;  // of each text, until they are joined
  std::vector<torch::Tensor> text_experts_;
  std::vector<torch::Tensor> text_gate_weights_;
  torch::Tensor table_;  // [S] int64, undefined before look_up()
  RoutedRows rows_;      // experts int16, gate weights float16
  std::vector<TokenWindow> windows_;
};

/// Where each id stands in a table; the table's length for one that is not in it.
torch::Tensor indices_of(const torch::Tensor& table,       // [S] int64, ascending
                         const torch::Tensor& token_ids);  // [n] int64 -> [n] int64

}  // namespace foregate::predict
