// The tensors of the predictors that are trained by gradient: listed once, saved as listed.
#include "predict/training/parameters.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "base/error.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/training/gradient_predictor.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"
#include "tensor/files/safetensors.h"

namespace foregate::predict {
namespace {

using testing::TemporaryFolder;

class Parameters : public ::testing::Test {
 protected:
  Parameters() {
    testing::write_synthetic_trace(directory_.path());
    corpus_ = std::make_unique<Corpus>(directory_.path());
    counts_ = std::make_unique<SharedCounts>(*corpus_);
  }

  FitInputs inputs() { return {*corpus_, *counts_, {}}; }

  /// One predictor of every kind that is trained, at every lead it has.
  std::vector<std::unique_ptr<Predictor>> every_trained_predictor() const {
    const Json settings = {{"steps", 2}, {"batch_tokens", 16}};
    std::vector<std::unique_ptr<Predictor>> predictors;
    for (const PredictorKind& kind : predictor_kinds()) {
      for (const char* name : {"next-token", "layer-1", "layer-2", "pre-attention"}) {
        const scoring::Lead lead = scoring::parse_lead(name);
        if (!kind.trained || !kind.supports(lead)) continue;
        predictors.push_back(
            make_predictor(kind.name, lead, corpus_->geometry(), JsonReader(settings, "test")));
      }
    }
    return predictors;
  }

  TemporaryFolder directory_;
  std::unique_ptr<Corpus> corpus_;
  std::unique_ptr<SharedCounts> counts_;
};

using Shapes = std::map<std::string, std::vector<int64_t>>;

TEST_F(Parameters, AreExactlyTheTensorsThatAreSaved) {
  std::set<std::string> kinds;
  for (const auto& predictor : every_trained_predictor()) {
    predictor->fit(inputs());
    const TemporaryFolder output;
    save_predictor(output.path(), *predictor, {}, {});

    Shapes listed = {{"seen_texts", {0}}};  // of every predictor
    for (const ParameterSpec& parameter :
         dynamic_cast<const GradientPredictor&>(*predictor).parameters()) {
      EXPECT_TRUE(listed.emplace(parameter.name, parameter.shape).second) << parameter.name;
    }
    Shapes saved;
    const tensor::SafetensorsFile file(output.path() / scoring::kPredictorWeightsFile);
    for (const tensor::TensorEntry& entry : file.entries()) {
      saved[entry.name] = entry.shape;
      if (listed.contains(entry.name) && entry.name != "seen_texts") {
        EXPECT_EQ(entry.dtype, torch::kFloat32) << entry.name;
      }
    }
    // No parameter, but what the rows of one stand for.
    if (predictor->name() == "transformer") {
      ASSERT_EQ(saved.at("ids").front() + 1, listed.at("embedding").front());
      saved.erase("ids");
    }
    EXPECT_EQ(saved, listed) << predictor->name();
    kinds.insert(predictor->name());
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"gate-adapter", "gate-mlp", "mlp", "transformer"}));
}

TEST_F(Parameters, BeginWithTheirShapesAndTheSeedsValues) {
  for (const auto& predictor : every_trained_predictor()) {
    predictor->fit(inputs());  // a transformer has its ids from there
    const auto parameters = dynamic_cast<const GradientPredictor&>(*predictor).parameters();
    const NamedTensors first = initial_values(parameters, 3, corpus_.get());
    const NamedTensors again = initial_values(parameters, 3, corpus_.get());
    const NamedTensors other = initial_values(parameters, 4, corpus_.get());
    bool differs = false;
    for (const ParameterSpec& parameter : parameters) {
      const torch::Tensor& value = first.at(parameter.name);
      EXPECT_EQ(value.sizes(), at::IntArrayRef(parameter.shape)) << parameter.name;
      EXPECT_EQ(value.scalar_type(), torch::kFloat32) << parameter.name;
      EXPECT_TRUE(value.equal(again.at(parameter.name))) << parameter.name;
      differs = differs || !value.equal(other.at(parameter.name));
    }
    EXPECT_TRUE(differs) << predictor->name();
  }
}

TEST_F(Parameters, ThatAreMissingOrMisshapenAreNamed) {
  for (const auto& predictor : every_trained_predictor()) {
    predictor->fit(inputs());
    for (const auto& [name, tensor] : predictor->weights()) {
      for (const torch::Tensor& damaged : {torch::Tensor(), tensor.unsqueeze(0)}) {
        NamedTensors weights = predictor->weights();
        weights[name] = damaged;
        if (!damaged.defined()) weights.erase(name);
        try {
          predictor->set_weights(weights, "somewhere");
          ADD_FAILURE() << predictor->name() << " takes a damaged " << name;
        } catch (const DataError& error) {
          const std::string expected = "somewhere: tensor \"" + name + "\" is ";
          EXPECT_EQ(std::string(error.what()).substr(0, expected.size()), expected);
        }
      }
    }
  }
}

TEST(InitialValues, AreMadeOfTheirParts) {
  const std::vector<ParameterSpec> parameters = {
      {"a", {2, 3}, init::normal(0.5)},
      {"b", {2, 3}, init::after_zeros(1, init::normal_of_inputs(4))},
      {"c", {2}, init::filled_with(-1.5)},
      {"d", {2}, init::times(3, init::ones())}};
  const NamedTensors values = initial_values(parameters, 7);
  EXPECT_TRUE(values.at("b").slice(1, 0, 1).eq(0).all().item<bool>());
  EXPECT_TRUE(values.at("b").slice(1, 1).ne(0).all().item<bool>());
  EXPECT_TRUE(values.at("c").equal(torch::full({2}, -1.5)));
  EXPECT_TRUE(values.at("d").equal(torch::full({2}, 3.0)));
  // Parameters draw one after the other from one generator.
  EXPECT_FALSE(values.at("a").equal(initial_values({parameters[1], parameters[0]}, 7).at("a")));
}

TEST(InitialValues, OneForEachTensorOfALayout) {
  const scoring::Layout layout({{"a", {1}}, {"b", {2}}});
  EXPECT_THROW(with_inits(layout, {{"a", init::zeros()}}), std::logic_error);
  EXPECT_THROW(with_inits(layout, {{"a", init::zeros()}, {"c", init::zeros()}}), std::logic_error);
  const auto parameters = with_inits(layout, {{"b", init::zeros()}, {"a", init::zeros()}});
  EXPECT_EQ(parameters.front().name, "a");
}

}  // namespace
}  // namespace foregate::predict
