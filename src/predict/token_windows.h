#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/routed_texts.h"

namespace foregate {

/// Consecutive tokens of one text.
struct TokenWindow {
  int64_t first = 0;  ///< token number of its first one
  int64_t size = 0;
};

/// Windows of tokens, one after the other, as a sequence model takes them.
struct WindowBatch {
  torch::Tensor ids;      ///< [n] int64: places in the table of ids
  torch::Tensor experts;  ///< [n, L, k] int64
  torch::Tensor places;   ///< [n] int64: of each token in its window
  /// [windows * longest] int64: the token at each place of a padded layout, n where there is none.
  torch::Tensor padded;
  torch::Tensor flat;  ///< [n] int64: each token's place in the padded layout
  int64_t windows = 0;
  int64_t longest = 0;
};

/// Takes the windows out of rows of tokens, on the rows' device.
WindowBatch gather_windows(const torch::Tensor& ids,      // [N] int64: places in the table of ids
                           const torch::Tensor& experts,  // [N, L, k] any integers
                           const std::vector<TokenWindow>& windows);

/// All tokens of some texts with their routing, and the windows of at most `length` tokens that
/// they are cut into. Eight bytes a token and two a chosen expert, in memory.
class WindowRows {
 public:
  WindowRows(const Geometry& geometry, int64_t length) : geometry_(geometry), length_(length) {}

  /// Takes a split's texts, or these, instead of those it had.
  void read(const RoutedTexts& corpus, Split split);
  void set(const std::vector<RoutedText>& texts);

  /// From here on, ids are places in this table; its length for ids that are not in it.
  void look_up(const torch::Tensor& ids,  // [S] int64, ascending
               torch::Device device);
  const torch::Tensor& ids() const { return ids_; }  ///< [N] int64
  const std::vector<TokenWindow>& windows() const { return windows_; }
  WindowBatch gather(const std::vector<TokenWindow>& windows) const {
    return gather_windows(ids_, experts_, windows);
  }

 private:
  void clear();
  void add(const RoutedText& text);
  void finish();

  Geometry geometry_;
  int64_t length_;
  int64_t tokens_ = 0;
  std::vector<torch::Tensor> text_ids_;  // of each text, until they are joined
  std::vector<torch::Tensor> text_experts_;
  torch::Tensor ids_;
  torch::Tensor experts_;  // [N, L, k] int16
  std::vector<TokenWindow> windows_;
};

/// Where each id stands in a table; the table's length for one that is not in it.
torch::Tensor places_of(const torch::Tensor& table,       // [S] int64, ascending
                        const torch::Tensor& token_ids);  // [n] int64 -> [n] int64

}  // namespace foregate
