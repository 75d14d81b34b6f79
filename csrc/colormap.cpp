#include "colormap.h"

#include <cstddef>
#include <string>

#include "names.h"
#include "status.h"

namespace efiqa {
namespace {

using Table = std::array<Rgb8, kColormapEntries>;

constexpr int kTerms = 11;
// Chebyshev coefficients over [0, 1] of red, green and blue in 0..1.
using Series = double[3][kTerms];

// Source of the three series: our own least-squares fits, reweighted towards the smallest maximum
// error, to the colours that matplotlib and OpenCV give these names. Largest difference from them
// in 8-bit levels: turbo 5, inferno 3, viridis 1 (checked by
// tests/integration/test_core_overlay.py).
constexpr Series kTurbo = {{0.504757, 0.309356, -0.120303, -0.233610, -0.046163, 0.094931,
                            -0.014254, -0.037704, 0.026339, -0.005576, -0.017055},
                           {0.437340, -0.097446, -0.461883, 0.068077, 0.080305, 0.003933, -0.012076,
                            -0.005228, -0.002755, -0.003206, 0.002218},
                           {0.354480, -0.359346, -0.120475, 0.225712, -0.146674, 0.041124, 0.045005,
                            -0.026681, -0.019906, -0.009099, 0.009122}};
constexpr Series kInferno = {{0.590583, 0.532103, -0.132046, -0.050180, 0.020117, 0.008433,
                              0.014509, 0.001367, 0.003704, 0.002405},
                             {0.376569, 0.500275, 0.145498, 0.006692, -0.019150, -0.005942,
                              -0.006680, 0.005258, -0.002973, -0.006277},
                             {0.280833, 0.105042, 0.005604, 0.228869, 0.048396, -0.003685,
                              -0.014421, -0.024877, -0.003615, 0.008874}};
constexpr Series kViridis = {{0.408820, 0.298452, 0.255384, 0.080361, -0.032844, -0.019425,
                              -0.000874, 0.007364, 0.003673, -0.003997},
                             {0.518733, 0.454757, -0.057407, -0.004805, -0.008522, 0.000993,
                              0.001958, 0.001054, -0.000620, 0.000252},
                             {0.376185, -0.146729, -0.170428, 0.021238, 0.015381, 0.028764,
                              0.015004, 0.005281, 0.005515, -0.000715}};

// Clenshaw's recurrence.
constexpr std::uint8_t level(const double (&coefficients)[kTerms], double t) {
  const double x = 2 * t - 1;
  double b1 = 0, b2 = 0;
  for (int k = kTerms - 1; k > 0; --k) {
    const double b = coefficients[k] + 2 * x * b1 - b2;
    b2 = b1;
    b1 = b;
  }
  const double value = 255 * (coefficients[0] + x * b1 - b2);
  return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

constexpr Table make_table(const Series& series) {
  Table table{};
  for (int i = 0; i < kColormapEntries; ++i) {
    const double t = i / 255.0;
    table[i] = {level(series[0], t), level(series[1], t), level(series[2], t)};
  }
  return table;
}

// One colour: only the opacity tells the probability.
constexpr Table make_red() {
  Table table{};
  for (Rgb8& entry : table) entry.red = 255;
  return table;
}

constexpr Table kTurboTable = make_table(kTurbo);
constexpr Table kInfernoTable = make_table(kInferno);
constexpr Table kViridisTable = make_table(kViridis);
constexpr Table kRedTable = make_red();

}  // namespace

const Table& colormap_table(Colormap colormap) {
  switch (colormap) {
    case Colormap::kTurbo:
      return kTurboTable;
    case Colormap::kInferno:
      return kInfernoTable;
    case Colormap::kViridis:
      return kViridisTable;
    case Colormap::kRed:
      return kRedTable;
  }
  throw Error(StatusCode::kInvalidArgument, "colormap is " +
                                                std::to_string(static_cast<int>(colormap)) +
                                                ", expected one of: " + list_names(kColormapNames));
}

}  // namespace efiqa
