/* The algorithm of engine/black76.py and engine/normal.py, line for line, as the bound a C compiler reaches. */
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline int64_t bits(double x) { int64_t b; memcpy(&b, &x, 8); return b; }
static inline double number(int64_t b) { double x; memcpy(&x, &b, 8); return x; }
static inline double lesser(double x, double y) { return x < y ? x : y; }
static inline double greater(double x, double y) { return x > y ? x : y; }

static const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;
static const double TINY = 2.2250738585072014e-308, ROUNDER = 6755399441055744.0;
static const int64_t ROUNDER_BITS = 0x4338000000000000, ONE_BITS = 0x3FF0000000000000;

static inline double exponential(double x)
{
    x = lesser(greater(x, -709.0), 709.4);
    double shifted = x * 1.4426950408889634 + ROUNDER;
    double n = shifted - ROUNDER;
    double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    double p = 2.510038549551032e-08;
    p = p * r + 2.7620088445409746e-07;
    p = p * r + 2.7557268459997064e-06;
    p = p * r + 2.4801521295954376e-05;
    p = p * r + 0.00019841269863053618;
    p = p * r + 0.0013888888917213717;
    p = p * r + 0.008333333333330062;
    p = p * r + 0.04166666666662413;
    p = p * r + 0.16666666666666669;
    p = p * r + 0.5000000000000001;
    return (1.0 + (r + r * r * p)) * number((int64_t)((uint64_t)bits(shifted) << 52) + ONE_BITS);
}

static inline double log_ratio(double x, double y)
{
    x = greater(x, TINY);
    y = greater(y, TINY);
    int64_t exponent = (bits(x) - bits(y) + (INT64_C(1) << 51)) >> 52;
    double n = number(exponent + ROUNDER_BITS) - ROUNDER;
    double near = number(bits(y) + (int64_t)((uint64_t)exponent << 52));
    double s = (x - near) / (x + near);
    double z = s * s;
    double p = 0.13604216246696962;
    p = p * z + 0.1321033443219967;
    p = p * z + 0.15388835999460426;
    p = p * z + 0.18181738421712204;
    p = p * z + 0.2222222303822691;
    p = p * z + 0.28571428567336676;
    p = p * z + 0.40000000000007807;
    p = p * z + 0.6666666666666666;
    return n * LN2_HIGH + (2.0 * s + (s * z * p + n * LN2_LOW));
}

static inline double pdf(double x)
{
    x = lesser(fabs(x), 40.0);
    double head = (x + 6442450944.0) - 6442450944.0;
    double rest = (x - head) * (x + head);
    return 0.3989422804014327 * exponential(-0.5 * head * head) * (1.0 - rest * (0.5 - rest * (0.125 - rest / 48.0)));
}

struct mills { double p, q, r; };

static inline struct mills mills(double x)
{
    double p = 3.5638400459837423e-06;
    p = p * x + 9.195109407464567e-05;
    p = p * x + 0.0011698593179246604;
    p = p * x + 0.009468039467514086;
    p = p * x + 0.05324231561778554;
    p = p * x + 0.21481147222047295;
    p = p * x + 0.6214602517961846;
    p = p * x + 1.2473760314393931;
    p = p * x + 1.5901800589139772;
    p = p * x + 1.0;
    double r = 3.563840049328652e-06;
    r = r * x + 9.195109351635632e-05;
    r = r * x + 0.0011627316791841009;
    r = r * x + 0.009284135459502553;
    r = r * x + 0.05093828919915841;
    r = r * x + 0.19679375768554708;
    r = r * x + 0.526428892289823;
    r = r * x + 0.9053998902716017;
    r = r * x + 0.7978845608028655;
    return (struct mills){p, x * p + r, r};
}

void greeks(int64_t size, const double *restrict forward, const double *restrict strike, const double *restrict years,
            const double *restrict vol, const uint8_t *restrict is_call, double *restrict value, double *restrict delta,
            double *restrict gamma, double *restrict vega, double *restrict theta, double *restrict vanna,
            double *restrict volga)
{
    for (int64_t i = 0; i < size; i++) {
        double f = forward[i], k = strike[i], root = sqrt(years[i]);
        double v = lesser(vol[i] * root, 100.0);
        double h = lesser(fabs(log_ratio(f, k)) / greater(v, 1e-100), 80.0);
        double a = h - 0.5 * v, b = h + 0.5 * v;
        struct mills near = mills(fabs(a)), far = mills(b);
        double least = lesser(f, k), density = least * pdf(a), both = near.q * far.q;
        double under = least - density * ((near.p * far.q + far.p * near.q) / both);
        double over = density * ((v * (near.p * far.p) - (near.r * far.p - far.r * near.p)) / both);
        value[i] = (a < 0.0 ? under : over) + greater(is_call[i] ? f - k : k - f, 0.0);

        int below = f < k;
        double d1 = below ? -a : b, d2 = below ? -b : a;
        double divisor = greater(f, 1e-100);
        double tail = density / divisor * (below ? near.p / near.q : far.p / far.q);
        double reached = (d1 < 0.0) == is_call[i] ? tail : 1.0 - tail;
        delta[i] = is_call[i] ? reached : -reached;

        double curvature = v > 0.0 ? density / greater(v, 1e-100) : 0.0;
        gamma[i] = curvature / divisor / divisor;
        vega[i] = curvature * v * root;
        theta[i] = -0.5 * curvature * vol[i] * vol[i];
        vanna[i] = -curvature * root * d2 / divisor;
        volga[i] = curvature * root * root * d1 * d2;
    }
}
