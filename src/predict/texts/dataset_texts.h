#pragma once

#include <functional>
#include <string>

#include "predict/texts/routed_texts.h"

namespace foregate::predict {

/// The texts of one dataset out of several, in the splits they have among all of them: to learn
/// from one kind of text and be measured on others.
class DatasetTexts : public RoutedTexts {
 public:
  /// `all` must outlive it. Throws UsageError if none of its training texts are of that dataset.
  DatasetTexts(const RoutedTexts& all, std::string dataset);

  std::string name() const override { return all_.name() + ", " + dataset_; }
  const trace::Geometry& geometry() const override { return all_.geometry(); }
  bool has_features() const override { return all_.has_features(); }
  bool has_gate_weights() const override { return all_.has_gate_weights(); }
  double mean_tokens() const override { return mean_tokens_; }
  void for_each(const TextSelection& selection,
                const std::function<void(const RoutedText&)>& visit) const override;
  int64_t count(const TextSelection& selection) const override;

 private:
  const RoutedTexts& all_;
  std::string dataset_;
  double mean_tokens_ = 0;  // of its training texts
};

}  // namespace foregate::predict
