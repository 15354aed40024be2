#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/config.h"
#include "nn/attention/cached_attention.h"

namespace foregate::engine {

/// What one token leaves behind in one layer.
struct KvLayout {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t key_dim = 0;    ///< of a head
  int64_t value_dim = 0;  ///< of a head; 0: values are made of what is kept as keys
};

/// Of a model with this config.
KvLayout kv_layout(const models::ModelConfig& config);

/// Bytes of keys and values that one token takes in all layers; in int8 with a scale for each row.
int64_t bytes_per_token(const KvLayout& layout, torch::ScalarType dtype);

/// Keys and values of sequences of tokens, in pages that sequences share after a fork until one of
/// them writes. All memory is taken when the cache is made.
class KvCache {
 public:
  using Sequence = int32_t;
  static constexpr int64_t kPageTokens = 64;

  /// As many pages as fit into `budget` bytes, of a compute dtype or kInt8. Throws UsageError if
  /// not even one does, OutOfMemoryError if the device has no room for them.
  KvCache(const KvLayout& layout, int64_t budget, torch::Device device, torch::ScalarType dtype,
          int64_t page_tokens = kPageTokens);

  /// A new sequence without tokens.
  Sequence open();
  /// A new sequence that begins with all tokens of this one. Takes no page.
  Sequence fork(Sequence parent);
  /// Its pages are free unless another sequence has them, too.
  void close(Sequence sequence);

  /// Makes room for so many more tokens, which a step then fills in. A last page that is shared is
  /// copied first. Throws OutOfMemoryError, leaving the sequence as it was, if there are fewer free
  /// pages than pages_to_extend().
  void extend(Sequence sequence, int64_t tokens);
  /// Forgets the tokens behind the first `length`.
  void truncate(Sequence sequence, int64_t length);

  int64_t length(Sequence sequence) const { return at(sequence).length; }
  /// Pages that extend() would take from the free ones.
  int64_t pages_to_extend(Sequence sequence, int64_t tokens) const;
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_pages() const { return static_cast<int64_t>(users_.size()); }
  int64_t page_tokens() const { return page_tokens_; }
  int64_t page_bytes() const { return page_bytes_; }
  int64_t num_sequences() const { return static_cast<int64_t>(sequences_.size() - closed_.size()); }

  /// Writes the pages of each sequence into its row of a table on the host.
  void write_pages(std::span<const Sequence> sequences,
                   const torch::Tensor& table) const;  // [sequences, N] int32
  /// No two caches of a program have the same.
  uint64_t number() const { return number_; }

  /// What attention has to know of a step that gave the last tokens[i] tokens to sequences[i].
  nn::SequencePages pages_of(std::span<const Sequence> sequences,
                             std::span<const int64_t> tokens) const;
  nn::PagedKv& layer(size_t index) { return layers_[index]; }
  bool is_quantized() const { return layers_.front().is_quantized(); }

 private:
  struct Entry {
    bool open = false;
    int64_t length = 0;
    std::vector<int32_t> pages;
  };
  const Entry& at(Sequence sequence) const;
  Entry& at(Sequence sequence);
  bool copies_last_page(const Entry& entry, int64_t tokens) const;
  int64_t pages_for(int64_t tokens) const { return (tokens + page_tokens_ - 1) / page_tokens_; }
  int32_t take_page();
  void release_page(int32_t page);
  void copy_page(int32_t from, int32_t to);

  uint64_t number_;
  int64_t page_tokens_;
  int64_t page_bytes_;
  torch::Device device_;
  std::vector<nn::PagedKv> layers_;
  std::vector<int32_t> users_;  ///< of each page
  std::vector<int32_t> free_;   ///< the next to be taken last
  std::vector<Entry> sequences_;
  std::vector<Sequence> closed_;  ///< numbers to be given again
};

}  // namespace foregate::engine
