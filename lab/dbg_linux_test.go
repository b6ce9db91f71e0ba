package lab
import ("fmt";"testing")
func TestDbg(t *testing.T) {
	c := Chain(t, ChainOptions{Hops: 3})
	for _, h := range []*Host{c.Source, c.Routers[0], c.Target} {
		fmt.Println("==", h.Name)
		fmt.Print(h.IP(t, "-4 a"), h.IP(t, "route"), h.IP(t, "-6 route"), h.IP(t, "-6 a"), h.IP(t, "neigh"), h.IP(t,"link"))
	}
	for i:=1;i<=3;i++ { o,_:=c.Source.Command(t.Context(),"ping","-c1","-W1",c.Hop(i).V4().String()).CombinedOutput(); fmt.Print(string(o)) }
}
